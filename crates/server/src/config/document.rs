//! The configuration's documents, made from the table: a file with every default, and the
//! reference.

use std::fmt::Write as _;

use super::table::{Key, Rule, Section};
use super::{FAMILY, SECTIONS, default_value, family_default};

const WIDTH: usize = 96;

/// A configuration file in which every key has its default and is explained.
#[must_use]
pub fn as_toml() -> String {
    let mut out = String::from(
        "# The configuration of Hubbub. Every key is optional; what stands here is the default.\n\
         # Use it with `hubbub serve --config FILE`, check it with `hubbub config check --config FILE`.\n",
    );
    for section in SECTIONS {
        let _ = write!(out, "\n# {}\n[{}]\n", lines(section.about, "\n# "), section.name);
        for key in section.keys {
            let value = default_value(section, key);
            let _ = write!(out, "\n# {}\n{} = {value}\n", lines(key.about, "\n# "), key.name);
        }
    }
    // There is none by default, so it stands here as an example.
    let about = lines(FAMILY.about, "\n# ");
    let _ = write!(out, "\n# {about}\n# [{}.NAME]\n", FAMILY.name);
    for key in FAMILY.keys {
        let value = family_default(key);
        let _ = write!(out, "#\n# {}\n# {} = {value}\n", lines(key.about, "\n# "), key.name);
    }
    out
}

/// The reference, `docs/configuration.md`.
#[must_use]
pub fn as_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in SECTIONS {
        let about = lines(section.about, "\n");
        let _ = write!(out, "\n## [{}]\n\n{about}\n", section.name);
        for key in section.keys {
            write_key(&mut out, section, key);
        }
    }
    let about = lines(FAMILY.about, "\n");
    let _ = write!(out, "\n## [{}.NAME]\n\n{about}\n", FAMILY.name);
    for key in FAMILY.keys {
        let about = lines(key.about, "\n");
        let _ = write!(out, "\n### `{}.NAME.{}`\n\n{about}\n", FAMILY.name, key.name);
        let _ = write!(out, "\n- default `{}`, {}\n", family_default(key), key.rule.describe());
    }
    out
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `hubbub config doc`; a test compares. Change crates/server/src/config/keys.rs. -->

Nothing needs to be configured to start. What is configured comes from three places, the later
winning:

1. a TOML file: `hubbub serve --config hubbub.toml` (or the variable `HUBBUB_CONFIG`);
2. the environment: `HUBBUB_SECTION_KEY`, such as `HUBBUB_LIMITS_COMMANDS_PER_SECOND=500`; a list is
   separated by commas;
3. flags: `--bind`, `--data-dir`, `--dev`.

Everything is checked before the server binds its address. An error names the key and what would do:
`limits.message_bytes_max: 10 is too small; use at least 1024`.

```sh
hubbub config default > hubbub.toml      # a file with every key, its default and its meaning
hubbub config check --config hubbub.toml # says `ok`, or what is wrong
```
";

fn write_key(out: &mut String, section: &Section, key: &Key) {
    let value = default_value(section, key);
    let _ = write!(out, "\n### `{}.{}`\n\n{}\n\n", section.name, key.name, lines(key.about, "\n"));
    let _ = write!(out, "- default `{value}`");
    if !matches!(key.rule, Rule::Any) {
        let _ = write!(out, ", {}", key.rule.describe());
    }
    let variable = format!("HUBBUB_{}_{}", section.name, key.name).to_ascii_uppercase();
    let _ = write!(out, "\n- `{variable}`\n");
}

/// The words of `text` in lines of a readable width.
fn lines(text: &str, newline: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + word.len() + 1 > WIDTH {
            out.push_str(newline);
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out
}
