//! What stands after the verb: selectors, flags, a reason, and after `--` arguments for terraform.

use super::selector::{Choice, choice, dir, workspace};
use super::words::{Word, words};
use super::{Command, Verb};
use crate::domain::id::PullNumber;

/// Verbs whose quoted words are the reason for them.
const WITH_REASON: [Verb; 5] = [Verb::Lock, Verb::Unlock, Verb::Freeze, Verb::Thaw, Verb::Cancel];

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// An argument, and why it stops the command: the end of a sentence that begins with it.
pub(super) type Bad = (String, String);

/// # Errors
/// The first argument that is not understood.
pub(super) fn command(verb: Verb, line: &str) -> Result<Command, Bad> {
    let all = words(line).map_err(|unreadable| (line.trim().to_owned(), format!("can't be read: {unreadable}")))?;
    let split = all.iter().position(|word| word.is("--"));
    let (ours, extra) = split.map_or((all.as_slice(), None), |at| (&all[..at], Some(&all[at + 1..])));
    if ours.iter().any(|word| word.is("-h") || word.is("--help")) {
        return Ok(Command::of(Verb::Help));
    }
    let mut command = Command::of(verb);
    if let Some(extra) = extra {
        if !matches!(verb, Verb::Plan | Verb::Apply) && !extra.is_empty() {
            return Err(("--".into(), format!("has no meaning for `{}`", verb.as_str())));
        }
        command.extra = extra.iter().map(|word| word.text.clone()).collect();
    }
    let mut reading = Reading { command, words: Vec::new(), narrow: Narrow::default(), except: Vec::new() };
    let mut rest = ours.iter();
    while let Some(word) = rest.next() {
        if let Err(why) = reading.word(word, &mut rest) {
            return Err((word.text.clone(), why));
        }
    }
    reading.finish()
}

struct Reading<'a> {
    command: Command,
    words: Vec<Word>,
    narrow: Narrow,
    except: Vec<&'a Word>,
}

/// Atlantis' flags, each at most once.
#[derive(Default)]
struct Narrow {
    dir: Option<Choice>,
    workspace: Option<Choice>,
    project: Option<Choice>,
}

const NOT_UNDERSTOOD: &str = "is not understood";

impl<'a> Reading<'a> {
    fn word(&mut self, word: &'a Word, rest: &mut std::slice::Iter<'a, Word>) -> Result<(), String> {
        let verb = self.command.verb;
        let is_flag = word.quote.is_none() && word.text.starts_with('-') && word.text.len() > 1;
        if is_flag {
            return self.flag(word, rest);
        }
        if word.quote == Some('"') && WITH_REASON.contains(&verb) {
            return self.reason(&word.text);
        }
        if verb == Verb::Freeze && word.is("until") {
            let time = rest.next().ok_or("needs a time: `until 2026-12-01T09:00Z`")?;
            return self.until(&time.text);
        }
        if verb == Verb::Unlock
            && word.quote.is_none()
            && let Some(number) = word.text.strip_prefix('#')
        {
            let number = number.parse().map_err(|_| "is not the number of a pull request".to_owned())?;
            return once(&mut self.command.of, PullNumber(number));
        }
        self.words.push(word.clone());
        Ok(())
    }

    fn flag(&mut self, word: &'a Word, rest: &mut std::slice::Iter<'a, Word>) -> Result<(), String> {
        let verb = self.command.verb;
        let (name, value) = word.text.split_once('=').map_or((word.text.as_str(), None), |(n, v)| (n, Some(v)));
        let mut value = || {
            let next = || rest.next().map(|next| next.text.as_str());
            value.or_else(next).filter(|value| !value.is_empty()).ok_or_else(|| "needs a value".to_owned())
        };
        match name {
            "--sha" if verb == Verb::Plan => {
                let sha = value()?.parse().map_err(|_| "needs a whole commit id (40 hexadecimal digits)".to_owned())?;
                once(&mut self.command.sha, sha)
            }
            "-d" | "--dir" => {
                let dir = dir(value()?)?;
                once(&mut self.narrow.dir, Choice::Dir(dir))
            }
            "-w" | "--workspace" => {
                let workspace = workspace(value()?)?;
                once(&mut self.narrow.workspace, Choice::Workspace(workspace))
            }
            "-p" | "--project" => {
                let project = value()?.to_owned();
                once(&mut self.narrow.project, Choice::Name(project))
            }
            "--reason" if WITH_REASON.contains(&verb) => {
                let reason = value()?.to_owned();
                self.reason(&reason)
            }
            "--until" if verb == Verb::Freeze => {
                let time = value()?.to_owned();
                self.until(&time)
            }
            "--except" => {
                let inline = word.text.split_once('=').map(|(_, value)| value);
                match inline {
                    Some(value) => {
                        let word = Word { text: value.to_owned(), quote: None };
                        self.leave_out(&[word])
                    }
                    None => {
                        let next = rest.next().ok_or_else(|| "needs a value".to_owned())?;
                        self.except.push(next);
                        Ok(())
                    }
                }
            }
            "--failed" if matches!(verb, Verb::Plan | Verb::Apply) && word.text == name => {
                self.command.selector.failed = true;
                Ok(())
            }
            // Everything is shown as it is.
            "--verbose" if word.text == name => Ok(()),
            _ => Err(NOT_UNDERSTOOD.to_owned()),
        }
    }

    fn reason(&mut self, text: &str) -> Result<(), String> {
        let reason: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect();
        once(&mut self.command.reason, reason.trim().to_owned())
    }

    fn until(&mut self, text: &str) -> Result<(), String> {
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|_| format!("needs a time with its zone, such as `2026-12-01T09:00Z`, and `{text}` is none"))?;
        once(&mut self.command.until, crate::domain::id::Timestamp(time.as_millisecond()))
    }

    fn leave_out(&mut self, words: &[Word]) -> Result<(), String> {
        let left_out = choice(words).map_err(|(word, why)| format!("names what is not understood: `{word}` {why}"))?;
        let left_out = left_out.ok_or_else(|| "needs a value".to_owned())?;
        self.command.selector.and(Choice::Not(Box::new(left_out)));
        Ok(())
    }

    fn finish(mut self) -> Result<Command, Bad> {
        let verb = self.command.verb;
        let Narrow { dir, workspace, project } = std::mem::take(&mut self.narrow);
        if project.is_some() && (dir.is_some() || workspace.is_some()) {
            return Err(("-p".into(), "names a project already: leave `-d` and `-w` out".into()));
        }
        let narrowed: Vec<Choice> = [dir, workspace, project].into_iter().flatten().collect();
        if let (Some(word), false) = (self.words.first(), narrowed.is_empty()) {
            return Err((word.text.clone(), "can't stand beside `-d`, `-w` and `-p`: use one or the other".into()));
        }
        // What is left out comes last, whatever the order: `--except a b` is `b and not a`.
        let left_out = std::mem::take(&mut self.command.selector);
        let chosen = choice(&self.words).map_err(|(word, why)| (word, why.to_owned()))?;
        self.command.selector.failed = left_out.failed;
        for choice in chosen.into_iter().chain(narrowed) {
            self.command.selector.and(choice);
        }
        if let Some(choice) = left_out.choice {
            self.command.selector.and(choice);
        }
        for word in std::mem::take(&mut self.except) {
            self.leave_out(std::slice::from_ref(word)).map_err(|why| ("--except".to_owned(), why))?;
        }
        let chooses = !self.command.selector.is_everything();
        if chooses && matches!(verb, Verb::Version | Verb::Help) {
            let flag = || self.command.selector.to_string();
            let word = self.words.first().map_or_else(flag, |word| word.text.clone());
            return Err((word, NOT_UNDERSTOOD.into()));
        }
        Ok(self.command)
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("stands there twice".to_owned()),
    }
}
