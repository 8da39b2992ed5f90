//! Changes to a configuration file that leave the rest of it as a person wrote it: comments, order and spacing.

use sapwood_protocol::app::config::{ConfigEdit, MergeStrategy};
use serde_json::{Map, Value as Json};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::path::KeyPath;

/// What one change may bring, in keys and values: many times what a person sets.
const MAX_VALUES: usize = 10_000;

/// Applies changes in their order.
///
/// # Errors
/// What is wrong with the first that cannot be applied.
pub fn apply(document: &mut DocumentMut, edits: &[ConfigEdit]) -> Result<(), String> {
    for edit in edits {
        let path = path(&edit.key_path)?;
        match &edit.value {
            Json::Null => remove(document.as_table_mut(), &path.parts()),
            value => set(document.as_table_mut(), &path.parts(), value, edit.merge_strategy)?,
        }
    }
    Ok(())
}

/// The path of a change.
///
/// # Errors
/// It is none.
pub fn path(key_path: &str) -> Result<KeyPath, String> {
    if key_path.trim().is_empty() {
        return Err("keyPath must not be empty".to_owned());
    }
    KeyPath::parse(key_path).ok_or_else(|| match key_path.split('.').any(|part| part.trim().is_empty()) {
        true => "keyPath segments must not be empty".to_owned(),
        false => format!(
            "keyPath `{}` is no dotted key; put a part that has dots or quotes in it into quotes",
            crate::text::one_line(key_path, 60)
        ),
    })
}

fn remove(table: &mut dyn TableLike, path: &[&str]) {
    match path {
        [last] => {
            table.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) {
                remove(inner, rest);
            }
        }
        [] => {}
    }
}

fn set(table: &mut dyn TableLike, path: &[&str], value: &Json, how: MergeStrategy) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        return put(table, first, value, how, &mut 0);
    }
    if table.get(first).is_none_or(Item::is_none) {
        let mut inner = Table::new();
        // It gets a heading of its own only if a value stands right in it.
        inner.set_implicit(true);
        table.insert(first, Item::Table(inner));
    }
    let inner = table.get_mut(first).and_then(Item::as_table_like_mut);
    set(inner.ok_or("cannot set value on non-table parent")?, rest, value, how)
}

/// Puts a value at a key. A table that meets a table is laid over it key by key, so that what stays keeps its comments.
fn put(
    table: &mut dyn TableLike,
    key: &str,
    value: &Json,
    how: MergeStrategy,
    count: &mut usize,
) -> Result<(), String> {
    *count += 1;
    if *count > MAX_VALUES {
        return Err(format!("a change may bring {MAX_VALUES} values at most"));
    }
    let old = table.get_mut(key).filter(|item| !item.is_none());
    match (value, old) {
        (Json::Object(new), Some(item)) if item.is_table_like() => {
            if let Some(old) = item.as_table_like_mut() {
                if how == MergeStrategy::Replace {
                    let gone = old.iter().map(|(key, _)| key.to_owned()).filter(|key| !new.contains_key(key));
                    for key in gone.collect::<Vec<_>>() {
                        old.remove(&key);
                    }
                }
                for (key, value) in new {
                    put(old, key, value, how, count)?;
                }
            }
        }
        (value, Some(item)) => {
            let mut new = toml(value, count)?;
            if let Some(old) = item.as_value() {
                *new.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(new);
        }
        (Json::Object(new), None) => {
            let inner = new_table(new, how, count)?;
            table.insert(key, inner);
        }
        (value, None) => {
            let new = toml(value, count)?;
            table.insert(key, Item::Value(new));
        }
    }
    Ok(())
}

fn new_table(entries: &Map<String, Json>, how: MergeStrategy, count: &mut usize) -> Result<Item, String> {
    let mut table = Table::new();
    for (key, value) in entries {
        put(&mut table, key, value, how, count)?;
    }
    Ok(Item::Table(table))
}

/// A value as TOML has it. What TOML has not, is refused.
fn toml(value: &Json, count: &mut usize) -> Result<Value, String> {
    *count += 1;
    if *count > MAX_VALUES {
        return Err(format!("a change may bring {MAX_VALUES} values at most"));
    }
    match value {
        Json::Null => Err("invalid value: invalid type: null, expected any valid TOML value".to_owned()),
        Json::Bool(value) => Ok((*value).into()),
        Json::String(text) => Ok(text.as_str().into()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Ok(number.into()),
            (None, Some(float)) if number.is_f64() => Ok(float.into()),
            _ => Err(format!("invalid value: {number} is too large for TOML")),
        },
        Json::Array(items) => {
            let items: Result<Array, String> = items.iter().map(|item| toml(item, count)).collect();
            items.map(Value::Array)
        }
        Json::Object(entries) => {
            let mut table = InlineTable::new();
            for (key, value) in entries {
                table.insert(key, toml(value, count)?);
            }
            Ok(Value::InlineTable(table))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "\
# who is asked
model = \"a\" # the usual one
model_provider = \"mine\"
x = {a = 1, b = {c = 2}} # inline

# what is seen
[tui]
# the colours
theme = \"dark\" # at night
status_line = [\"a\"]
[projects.\"/a.b\"]
trust_level = \"trusted\"
";

    fn edited(edits: &[(&str, Json, MergeStrategy)]) -> Result<String, String> {
        let mut document: DocumentMut = FILE.parse().unwrap();
        let edit = |(key, value, how): &(&str, Json, MergeStrategy)| ConfigEdit {
            key_path: (*key).to_owned(),
            value: value.clone(),
            merge_strategy: *how,
        };
        apply(&mut document, &edits.iter().map(edit).collect::<Vec<_>>())?;
        Ok(document.to_string())
    }

    use MergeStrategy::{Replace, Upsert};

    #[test]
    fn what_is_not_changed_stays_as_it_was_written() {
        let table: &[(&str, Json, MergeStrategy, &str, &str)] = &[
            ("model", json!("b"), Replace, "\"a\" # the", "\"b\" # the"),
            ("model", Json::Null, Replace, "# who is asked\nmodel = \"a\" # the usual one\n", ""),
            ("x.b.c", json!(3), Replace, "c = 2", "c = 3"),
            ("x", json!({"d": true}), Upsert, "{c = 2}}", "{c = 2}, d = true }"),
            ("tui.theme", json!("light"), Upsert, "\"dark\" # at", "\"light\" # at"),
            (
                "tui",
                json!({"theme": "light"}),
                Replace,
                "\"dark\" # at night\nstatus_line = [\"a\"]",
                "\"light\" # at night",
            ),
            ("tui.status_line", json!(["a", 1.5]), Replace, "[\"a\"]", "[\"a\", 1.5]"),
            ("projects.\"/a.b\".trust_level", json!("untrusted"), Upsert, "\"trusted\"", "\"untrusted\""),
            ("nobody.knows", Json::Null, Replace, "", ""),
        ];
        for (key, value, how, from, to) in table {
            assert_eq!(edited(&[(key, value.clone(), *how)]).unwrap(), FILE.replacen(from, to, 1), "{key} = {value}");
        }
    }

    #[test]
    fn what_is_new_comes_in_the_usual_form() {
        let added = edited(&[
            ("projects./c.trust_level", json!("trusted"), Upsert),
            ("a.b", json!({"c": {"d": [{"e": 1}]}, "f": 2}), Replace),
            ("model_verbosity", json!("low"), Replace),
        ]);
        let expected = format!(
            "{}\n[projects.\"/c\"]\ntrust_level = \"trusted\"\n\n[a.b]\nf = 2\n\n[a.b.c]\nd = [{{ e = 1 }}]\n",
            FILE.replace("# inline\n", "# inline\nmodel_verbosity = \"low\"\n")
        );
        assert_eq!(added.unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (key, value, why) in [
            ("", json!(1), "keyPath must not be empty"),
            ("a..b", json!(1), "keyPath segments must not be empty"),
            (
                "a.\"b",
                json!(1),
                "keyPath `a.\"b` is no dotted key; put a part that has dots or quotes in it into quotes",
            ),
            ("model.x", json!(1), "cannot set value on non-table parent"),
            ("y", json!([null]), "invalid value: invalid type: null, expected any valid TOML value"),
            ("y", json!(u64::MAX), "invalid value: 18446744073709551615 is too large for TOML"),
            ("y", json!(vec![0; MAX_VALUES]), "a change may bring 10000 values at most"),
        ] {
            assert_eq!(edited(&[(key, value, Upsert)]), Err(why.to_owned()), "{key}");
        }
    }
}
