//! Nicknames: short names for people, one for each child of a tree. Trees, as the house is called.

use std::collections::BTreeSet;

const NAMES: &[&str] = &[
    "Alder",
    "Almond",
    "Apple",
    "Arbutus",
    "Ash",
    "Aspen",
    "Balsa",
    "Banyan",
    "Baobab",
    "Bay",
    "Beech",
    "Birch",
    "Box",
    "Buckeye",
    "Buckthorn",
    "Carob",
    "Cassia",
    "Catalpa",
    "Cedar",
    "Cherry",
    "Chestnut",
    "Clove",
    "Coral",
    "Cork",
    "Cypress",
    "Date",
    "Dogwood",
    "Ebony",
    "Elder",
    "Elm",
    "Fig",
    "Fir",
    "Ginkgo",
    "Guava",
    "Hawthorn",
    "Hazel",
    "Hemlock",
    "Hickory",
    "Holly",
    "Hornbeam",
    "Ironwood",
    "Jacaranda",
    "Judas",
    "Juniper",
    "Kapok",
    "Katsura",
    "Koa",
    "Kumquat",
    "Larch",
    "Laurel",
    "Lemon",
    "Lilac",
    "Lime",
    "Linden",
    "Locust",
    "Lotus",
    "Magnolia",
    "Mahogany",
    "Mango",
    "Maple",
    "Medlar",
    "Mimosa",
    "Mulberry",
    "Myrtle",
    "Neem",
    "Nutmeg",
    "Oak",
    "Olive",
    "Osier",
    "Palm",
    "Papaya",
    "Pear",
    "Pecan",
    "Persimmon",
    "Pine",
    "Plane",
    "Plum",
    "Pomelo",
    "Poplar",
    "Quince",
    "Redwood",
    "Rowan",
    "Sandal",
    "Sequoia",
    "Service",
    "Spruce",
    "Sumac",
    "Sycamore",
    "Tamarack",
    "Tamarind",
    "Teak",
    "Thorn",
    "Tulip",
    "Tupelo",
    "Walnut",
    "Wattle",
    "Willow",
    "Yew",
    "Zelkova",
];

/// The names that a tree has given. A name stays taken when its agent has ended.
#[derive(Debug, Default)]
pub struct Nicknames {
    used: BTreeSet<&'static str>,
    rounds: u32,
}

impl Nicknames {
    /// A stored agent has this name.
    pub fn taken(&mut self, name: &str) {
        if let Some(known) = NAMES.iter().find(|known| **known == name) {
            self.used.insert(known);
        }
    }

    /// A name that is free: `chance` picks it. When all are taken they are given again, as the second, and so on.
    pub fn choose(&mut self, chance: u64) -> String {
        if self.used.len() >= NAMES.len() {
            self.used.clear();
            self.rounds += 1;
        }
        let free: Vec<&'static str> = NAMES.iter().filter(|name| !self.used.contains(*name)).copied().collect();
        let name = free[(chance % free.len() as u64) as usize];
        self.used.insert(name);
        match self.rounds {
            0 => name.to_owned(),
            rounds => format!("{name} the {}", ordinal(rounds + 1)),
        }
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once_and_then_numbered() {
        let mut names = Nicknames::default();
        names.taken("Oak");
        let first: BTreeSet<String> = (0..NAMES.len() as u64 - 1).map(|n| names.choose(n * 7)).collect();
        assert_eq!(first.len(), NAMES.len() - 1);
        assert!(!first.contains("Oak"));
        assert!(names.choose(3).ends_with(" the 2nd"));
        assert_eq!([3, 4, 11, 21, 112].map(ordinal), ["3rd", "4th", "11th", "21st", "112th"]);
    }
}
