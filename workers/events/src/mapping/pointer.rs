//! Where a value stands in an event: JSON Pointer (RFC 6901), with `*` for every item of an array.
//!
//! Not here: what stands there. Invariant: `user_id` and `userId` are one name, whichever of them a pointer is written
//! with.

/// A parsed pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    steps: Vec<Step>,
}

/// One step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a field of an object.
    Name(String),
    /// Into every item of an array.
    Items,
}

/// How deep a pointer may lead.
const STEPS_MAX: usize = 8;

impl Pointer {
    /// Reads a pointer as it is written.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is no JSON Pointer: it begins with `/`, as in `/payload/user_id`"));
        };
        let mut steps = Vec::new();
        for part in rest.split('/') {
            if part.is_empty() {
                return Err(format!("`{text}` has an empty name in it"));
            }
            let escapes = part.matches('~').count();
            if escapes != part.matches("~0").count() + part.matches("~1").count() {
                return Err(format!("`{text}` has a `~` that is neither `~0` (for ~) nor `~1` (for /)"));
            }
            steps.push(if part == "*" { Step::Items } else { Step::Name(part.replace("~1", "/").replace("~0", "~")) });
        }
        if steps.len() > STEPS_MAX {
            return Err(format!("`{text}` leads deeper than {STEPS_MAX} levels"));
        }
        if steps.iter().filter(|step| **step == Step::Items).count() > 1 {
            return Err(format!("`{text}` has more than one `*`"));
        }
        Ok(Self { steps })
    }

    /// Its steps, from the event on.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it leads to the items of an array.
    pub(crate) fn leads_to_items(&self) -> bool {
        self.steps.contains(&Step::Items)
    }

    /// As a verdict names it: `payload.user_id`.
    pub(crate) fn dotted(&self) -> String {
        let step = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Items => "*".to_owned(),
        };
        self.steps.iter().map(step).collect::<Vec<_>>().join(".")
    }
}

/// A name in all its spellings: as it is, in camelCase, in snake_case.
pub(crate) fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    for other in [camel(name), snake(name)] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for c in name.chars() {
        // Not at the beginning: `_id` is a name of its own.
        if c == '_' && !camel.is_empty() && !camel.ends_with('.') {
            raise = true;
        } else if raise && (c.is_ascii_lowercase() || c.is_ascii_digit()) {
            camel.push(c.to_ascii_uppercase());
            raise = false;
        } else {
            if raise {
                camel.push('_');
            }
            raise = false;
            camel.push(c);
        }
    }
    if raise {
        camel.push('_');
    }
    camel
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.chars() {
        // A raised letter behind another begins no word: `userID` is `user_ID` for nobody.
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            snake.push('_');
            snake.push(c.to_ascii_lowercase());
        } else {
            snake.push(c);
        }
        before = c;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_either_spelling() {
        assert_eq!(spellings("user_id"), ["user_id", "userId"]);
        assert_eq!(spellings("userId"), ["userId", "user_id"]);
        assert_eq!(spellings("query"), ["query"]);
        assert_eq!(spellings("_id"), ["_id"]);
        assert_eq!(spellings("cache_write_5m"), ["cache_write_5m", "cacheWrite5m"]);
        assert_eq!(spellings("gen_ai.usage.input_tokens"), ["gen_ai.usage.input_tokens", "genAi.usage.inputTokens"]);
    }

    #[test]
    fn pointers_are_those_of_the_rfc() {
        let steps = |text| Pointer::parse(text).unwrap().steps().to_vec();
        assert_eq!(steps("/a~1b/m~0n"), [Step::Name("a/b".into()), Step::Name("m~n".into())]);
        assert_eq!(steps("/items/*/id"), [Step::Name("items".into()), Step::Items, Step::Name("id".into())]);
        for (wrong, said) in [
            ("user_id", "begins with `/`"),
            ("/a//b", "empty name"),
            ("/", "empty name"),
            ("/a~2", "neither `~0`"),
            ("/a/*/b/*", "more than one"),
            ("/1/2/3/4/5/6/7/8/9", "deeper than 8"),
        ] {
            assert!(Pointer::parse(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }
}
