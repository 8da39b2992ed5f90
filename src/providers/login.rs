//! As whom Codex's `auth.json` knows a person: a key, or a login with ChatGPT. Only read, and no key of it is shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A key.
    Key,
    /// With ChatGPT.
    Chatgpt {
        /// The person's address, if the login says it.
        email: Option<String>,
        /// The plan; `unknown` if the login does not say one that clients know.
        plan: String,
        /// The person's id, if the login says it.
        user: Option<String>,
    },
}

/// The plans that clients know.
const PLANS: &[&str] = &[
    "free",
    "go",
    "plus",
    "pro",
    "prolite",
    "promax",
    "team",
    "self_serve_business_prolite",
    "self_serve_business_usage_based",
    "business",
    "ent26",
    "enterprise_cbp_automation",
    "enterprise_cbp_usage_based",
    "enterprise",
    "edu",
    "edu_plus",
    "edu_pro",
    "sci",
    "sci_plus",
];

impl Login {
    /// What the file says. None for one that is no login.
    pub fn of(auth: &Value) -> Option<Self> {
        let is_key = auth["OPENAI_API_KEY"].as_str().is_some_and(|key| !key.trim().is_empty());
        let tokens = &auth["tokens"];
        match auth["auth_mode"].as_str() {
            Some("apikey") if is_key => return Some(Login::Key),
            // Without a mode a key counts, as in requests.
            None if is_key => return Some(Login::Key),
            _ if !tokens.is_object() => return None,
            _ => {}
        }
        let claims = tokens["id_token"].as_str().and_then(claims).unwrap_or_default();
        let own = &claims["https://api.openai.com/auth"];
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let plan = own["chatgpt_plan_type"].as_str().map(str::to_ascii_lowercase);
        Some(Login::Chatgpt {
            email: text(&claims["email"]).or_else(|| text(&claims["https://api.openai.com/profile"]["email"])),
            plan: plan.filter(|plan| PLANS.contains(&&**plan)).unwrap_or_else(|| "unknown".to_owned()),
            user: text(&own["chatgpt_user_id"]).or_else(|| text(&own["user_id"])),
        })
    }
}

/// What a token says. It is not checked: whom it lets in is for those to say who read it.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with_chatgpt(claims: &Value) -> Value {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "tokens": {"id_token": token}})
    }

    #[test]
    fn what_the_file_says_is_read() {
        let chatgpt = |email: Option<&str>, plan: &str, user: Option<&str>| {
            Some(Login::Chatgpt {
                email: email.map(str::to_owned),
                plan: plan.to_owned(),
                user: user.map(str::to_owned),
            })
        };
        let auth = "https://api.openai.com/auth";
        let profile = "https://api.openai.com/profile";
        let table = [
            (json!({"OPENAI_API_KEY": "sk-x"}), Some(Login::Key)),
            (json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-x"}), Some(Login::Key)),
            (json!({"OPENAI_API_KEY": " "}), None),
            (json!({}), None),
            (
                with_chatgpt(&json!({"email": "a@b.c", auth: {"chatgpt_plan_type": "pro", "chatgpt_user_id": "u"}})),
                chatgpt(Some("a@b.c"), "pro", Some("u")),
            ),
            (with_chatgpt(&json!({auth: {"chatgpt_plan_type": "Team"}})), chatgpt(None, "team", None)),
            (
                with_chatgpt(&json!({profile: {"email": "p@q.r"}, auth: {"chatgpt_plan_type": "new", "user_id": "v"}})),
                chatgpt(Some("p@q.r"), "unknown", Some("v")),
            ),
            (json!({"tokens": {"id_token": "rubbish"}}), chatgpt(None, "unknown", None)),
        ];
        for (file, login) in table {
            assert_eq!(Login::of(&file), login, "{file}");
        }
    }
}
