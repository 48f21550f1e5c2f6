//! Arguments for terraform that a comment may give: those that say what is planned, and none that say with which code,
//! plugins, backend or state.

use std::fmt;

/// All of them together, in bytes.
const LONGEST: usize = 4 << 10;

/// What takes a value.
const WITH_VALUE: [&str; 6] = ["-target", "-replace", "-var", "-exclude", "-refresh", "-parallelism"];

/// What stands alone.
const ALONE: [&str; 4] = ["-refresh-only", "-refresh", "-destroy", "-compact-warnings"];

/// What is well known, and why it is not taken.
const KNOWN: [(&str, &str); 15] = [
    ("-chdir", "which code is planned is not for a comment to say"),
    ("-plugin-dir", "which providers run is not for a comment to say"),
    ("-backend", BACKEND),
    ("-backend-config", BACKEND),
    ("-reconfigure", BACKEND),
    ("-migrate-state", BACKEND),
    ("-state", STATE),
    ("-state-out", STATE),
    ("-backup", STATE),
    ("-lock", "the server sees to locks"),
    ("-lock-timeout", "the server sees to locks"),
    ("-out", "the server keeps the plan"),
    ("-var-file", "list the file under `var_files`, so that everybody sees it"),
    ("-generate-config-out", "it writes code that nobody keeps"),
    ("-auto-approve", "what was reviewed runs, and nothing else"),
];

const BACKEND: &str = "where the state lives is not for a comment to say";
const STATE: &str = "where the state lives is not for a comment to say";

/// What changes how a plan is made, and not what is left to do once it is applied.
const OF_THE_WAY: [&str; 4] = ["-replace", "-refresh", "-parallelism", "-compact-warnings"];

/// Whether a plan with these arguments is of everything that the code says: once it is applied, nothing is left.
#[must_use]
pub fn plans_everything(extra: &[String]) -> bool {
    let name = |argument: &String| argument.split('=').next().unwrap_or_default().to_owned();
    extra.iter().all(|argument| OF_THE_WAY.contains(&name(argument).as_str()))
}

/// Why an argument is not passed on to terraform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraRefused {
    pub argument: String,
    pub why: &'static str,
}

impl fmt::Display for ExtraRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.argument.chars().filter(|c| *c != '`').take(80).collect();
        write!(f, "terraform is not given `{shown}`: {}", self.why)
    }
}

/// The arguments as terraform is given them, each whole: `-target x` and `--target=x` are `-target=x`.
///
/// # Errors
/// Every argument that is not passed on, with the reason.
pub fn permitted_extra(arguments: &[String]) -> Result<Vec<String>, Vec<ExtraRefused>> {
    let (mut permitted, mut refused) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let mut refuse = |why| refused.push(ExtraRefused { argument: argument.clone(), why });
        let plain = if argument.starts_with("--") { &argument[1..] } else { argument.as_str() };
        let (name, value) = plain.split_once('=').map_or((plain, None), |(name, value)| (name, Some(value)));
        if argument.chars().any(char::is_control) {
            refuse("it holds control characters");
        } else if ALONE.contains(&name) && value.is_none() {
            permitted.push(name.to_owned());
        } else if WITH_VALUE.contains(&name) {
            match value.map(str::to_owned).or_else(|| rest.next_if(|next| !next.starts_with('-')).cloned()) {
                Some(value) if fits(name, &value) => permitted.push(format!("{name}={value}")),
                Some(_) => refuse("its value is none that it takes"),
                None => refuse("it needs a value"),
            }
        } else {
            let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
            refuse(known.unwrap_or("only `-target`, `-replace`, `-exclude`, `-var`, `-refresh`, `-refresh-only`, `-destroy`, `-parallelism` and `-compact-warnings` are passed on"));
        }
    }
    if permitted.iter().map(String::len).sum::<usize>() > LONGEST {
        refused.push(ExtraRefused { argument: String::new(), why: "that is longer than anybody reads" });
    }
    if refused.is_empty() { Ok(permitted) } else { Err(refused) }
}

fn fits(name: &str, value: &str) -> bool {
    match name {
        "-refresh" => matches!(value, "true" | "false"),
        "-parallelism" => value.parse::<u16>().is_ok_and(|number| (1..=256).contains(&number)),
        "-var" => value.split_once('=').is_some_and(|(variable, _)| !variable.is_empty()),
        _ => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(words: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        permitted_extra(&words).map_err(|refused| refused.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_says_what_is_planned_is_passed_on() {
        for (words, expected) in [
            (&["-target=module.a"][..], &["-target=module.a"][..]),
            (&["--target", "a.b[\"c\"]", "-refresh=false"], &["-target=a.b[\"c\"]", "-refresh=false"]),
            (&["-var", "x=a b", "-refresh-only"], &["-var=x=a b", "-refresh-only"]),
            (&["-refresh"], &["-refresh"]),
            (&["-replace=a.b", "-destroy", "-parallelism=2"], &["-replace=a.b", "-destroy", "-parallelism=2"]),
            (&[], &[]),
        ] {
            assert_eq!(permitted(words).unwrap(), expected);
        }
    }

    #[test]
    fn code_plugins_backend_and_state_are_not_for_a_comment_to_say() {
        for word in [
            "-chdir=other",
            "--chdir",
            "-plugin-dir=/tmp/evil",
            "--plugin-dir",
            "-backend-config=bucket=mine",
            "-backend=false",
            "-reconfigure",
            "-migrate-state",
            "-state=x",
            "-state-out=x",
            "-backup=x",
            "-lock=false",
            "-out=x",
            "-var-file=/etc/passwd",
            "-auto-approve",
            "-input=true",
            "-generate-config-out=x.tf",
            "-json",
            "-Chdir=x",
            "---chdir=x",
            "-",
            "arg",
            "&&",
            "-target",
            "-target=",
            "-var=x",
            "-refresh=maybe",
            "-parallelism=0",
            "-target=a\u{7}",
        ] {
            assert!(permitted(&[word]).is_err(), "{word}");
        }
        assert_eq!(
            permitted(&["-chdir=`x`", "-target=a", "-state=s"]).unwrap_err(),
            [
                "terraform is not given `-chdir=x`: which code is planned is not for a comment to say",
                "terraform is not given `-state=s`: where the state lives is not for a comment to say"
            ]
        );
        assert!(permitted(&[&format!("-target={}", "a".repeat(5000))]).is_err());
        assert!(permitted(&["-target", "-var"]).is_err(), "a flag is no value");
    }
}
