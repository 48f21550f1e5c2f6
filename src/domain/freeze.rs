//! Times in which nothing is applied: frozen by somebody, or by a window in the rules. Plans go on.

use super::command::Selector;
use super::id::{Login, Timestamp};
use super::project::Project;
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan as _, ZonedDateTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Somebody's word that nothing is applied for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Of the repository's projects.
    pub selector: Selector,
    pub by: Login,
    pub since: Timestamp,
    /// When it ends by itself; `None`: by `thaw`.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}

impl Freeze {
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Why a project is not applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// ``frozen by `@ana`: change freeze``, without an end of its sentence.
    pub why: String,
    /// When to look again; `None`: nobody knows.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match self.until.and_then(minute) {
            Some(until) => write!(f, ", until {until}"),
            None => Ok(()),
        }
    }
}

/// `2026-12-01 09:00 UTC`.
#[must_use]
pub fn minute(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
    Some(at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// Whether the project is frozen, by people or by its rules. What lasts longest is told.
#[must_use]
pub fn frozen(project: &Project, freezes: &[Freeze], now: Timestamp) -> Option<Frozen> {
    let meant = |freeze: &&Freeze| project.is_new || freeze.selector.matches(project);
    let by_people = freezes.iter().filter(|freeze| !freeze.is_over(now)).filter(meant);
    let by_people = by_people.map(|freeze| {
        let reason = freeze.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Frozen { why: format!("frozen by `@{}`{reason}", freeze.by), until: freeze.until }
    });
    by_people
        .chain(by_windows(&project.windows, now))
        .max_by_key(|frozen| frozen.until.map_or(i64::MAX, |until| until.0))
}

/// A window in the rules, written `deny fri 14:00 - mon 07:00 Europe/Berlin`, `allow mon-fri 09:00 - 17:00` or
/// `deny 22:00 - 06:00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Nothing is applied within it; otherwise: only within it (and other such windows).
    deny: bool,
    /// The days on which it begins, from Monday.
    days: [bool; 7],
    /// Minutes from midnight.
    from: i64,
    /// Minutes, by the clock on the wall.
    length: i64,
    zone: TimeZone,
    /// As it was written.
    text: String,
}

const DAY: i64 = 24 * 60;

fn by_windows(windows: &[Window], now: Timestamp) -> Option<Frozen> {
    let denied = windows.iter().filter(|window| window.deny).filter_map(|window| {
        let until = window.covers(now)?;
        Some(Frozen { why: format!("closed by the rules (`{}`)", window.text), until: Some(until) })
    });
    if let Some(denied) = denied.max_by_key(|frozen| frozen.until) {
        return Some(denied);
    }
    let mut allowing = windows.iter().filter(|window| !window.deny).peekable();
    allowing.peek()?;
    let allowing: Vec<&Window> = allowing.collect();
    if allowing.iter().any(|window| window.covers(now).is_some()) {
        return None;
    }
    let texts: Vec<String> = allowing.iter().map(|window| format!("`{}`", window.text)).collect();
    let until = allowing.iter().filter_map(|window| window.next(now)).min();
    Some(Frozen { why: format!("closed by the rules ({})", texts.join(", ")), until })
}

impl Window {
    /// The end of the window if this moment is in it.
    fn covers(&self, now: Timestamp) -> Option<Timestamp> {
        self.occurrences(now, -8..=0).filter(|(start, end)| *start <= now && now < *end).map(|(_, end)| end).max()
    }

    /// When it begins next.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.occurrences(now, 0..=8).map(|(start, _)| start).find(|start| *start > now)
    }

    /// Beginnings and ends around this day, which is 0.
    fn occurrences(
        &self,
        now: Timestamp,
        days: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today =
            jiff::Timestamp::from_millisecond(now.0).ok().map(|now| now.to_zoned_datetime(self.zone.clone()).date());
        days.filter_map(move |day| {
            let date = today?.checked_add(day.days()).ok()?;
            if !self.days[usize::try_from(date.weekday().to_monday_zero_offset()).ok()?] {
                return None;
            }
            let start = date.at(0, 0, 0, 0).checked_add(self.from.minutes()).ok()?;
            let end = start.checked_add(self.length.minutes()).ok()?;
            let at = |zoned: ZonedDateTime| Timestamp(zoned.timestamp().as_millisecond());
            Some((
                at(start.to_zoned_datetime(self.zone.clone()).ok()?),
                at(end.to_zoned_datetime(self.zone.clone()).ok()?),
            ))
        })
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.text
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| {
            format!(
                "`{text}` is no window: write `deny fri 14:00 - mon 07:00 Europe/Berlin`, `allow mon-fri 09:00 - 17:00` \
                 or `deny 22:00 - 06:00`; without a zone it is UTC"
            )
        })
    }
}

fn read(text: &str) -> Option<Window> {
    let spaced = text.replace(" - ", " – ");
    let mut words = spaced.split_whitespace().peekable();
    let deny = match words.next()? {
        "deny" => true,
        "allow" => false,
        _ => return None,
    };
    let days = words.next_if(|word| !word.contains(':'));
    let from = clock(words.next()?)?;
    (words.next()? == "–").then_some(())?;
    let last_day = words.next_if(|word| !word.contains(':'));
    let to = clock(words.next()?)?;
    let zone = match words.next() {
        Some(name) => TimeZoneDatabase::bundled().get(name).ok()?,
        None => TimeZone::UTC,
    };
    words.next().is_none().then_some(())?;
    let (days, length) = match (days, last_day) {
        (None, None) => ([true; 7], (to - from).rem_euclid(DAY)),
        (Some(range), None) => (day_range(range)?, (to - from).rem_euclid(DAY)),
        (Some(first), Some(last)) => {
            let (first, last) = (day(first)?, day(last)?);
            let between = (i64::from(last.to_monday_zero_offset()) - i64::from(first.to_monday_zero_offset())) * DAY;
            let mut days = [false; 7];
            days[usize::try_from(first.to_monday_zero_offset()).ok()?] = true;
            (days, (between + to - from).rem_euclid(7 * DAY))
        }
        (None, Some(_)) => return None,
    };
    (length > 0).then(|| Window { deny, days, from, length, zone, text: text.to_owned() })
}

fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let sound = (1..=2).contains(&hours.len()) && minutes.len() == 2;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    let within = minutes < 60 && (hours < 24 || hours == 24 && minutes == 0);
    (sound && within).then(|| i64::from(hours) * 60 + i64::from(minutes))
}

fn day(text: &str) -> Option<Weekday> {
    Some(match text {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// `sat`, or `mon-fri`.
fn day_range(text: &str) -> Option<[bool; 7]> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let mut days = [false; 7];
    let mut at = first;
    loop {
        days[usize::try_from(at.to_monday_zero_offset()).ok()?] = true;
        if at == last {
            return Some(days);
        }
        at = at.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::fixture;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn by(windows: &[&str], now: &str) -> Option<String> {
        let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
        by_windows(&windows, at(now)).map(|frozen| frozen.to_string())
    }

    #[test]
    fn windows_open_and_close() {
        let weekend = "deny fri 14:00 - mon 07:00 Europe/Berlin";
        let office = "allow mon-fri 09:00 - 17:00";
        let night = "deny 22:00 - 06:00";
        // 2026-11-27 is a Friday.
        for (windows, now, expected) in [
            (&[weekend][..], "2026-11-27T12:59Z", None),
            (&[weekend], "2026-11-27T13:00Z", Some("2026-11-30 06:00 UTC")),
            (&[weekend], "2026-11-30T05:59Z", Some("2026-11-30 06:00 UTC")),
            (&[weekend], "2026-11-30T06:00Z", None),
            // In summer Berlin is two hours ahead.
            (&[weekend], "2026-07-31T12:00Z", Some("2026-08-03 05:00 UTC")),
            (&[office], "2026-11-27T16:59Z", None),
            (&[office], "2026-11-27T17:00Z", Some("2026-11-30 09:00 UTC")),
            (&[office], "2026-11-27T08:00Z", Some("2026-11-27 09:00 UTC")),
            (&[night], "2026-11-27T21:59Z", None),
            (&[night], "2026-11-27T23:00Z", Some("2026-11-28 06:00 UTC")),
            (&[night], "2026-11-28T05:00Z", Some("2026-11-28 06:00 UTC")),
            (&[office, night], "2026-11-27T12:00Z", None),
            (&[office, weekend], "2026-11-27T15:00Z", Some("2026-11-30 06:00 UTC")),
            (&[], "2026-11-27T15:00Z", None),
        ] {
            let frozen = by(windows, now);
            match (&frozen, expected) {
                (Some(frozen), Some(until)) => assert!(frozen.ends_with(&format!("until {until}")), "{now}: {frozen}"),
                (None, None) => {}
                _ => panic!("{windows:?} at {now}: {frozen:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "deny",
            "deny fri",
            "never fri 14:00 - mon 07:00",
            "deny fri 14:00 mon 07:00",
            "deny fri 25:00 - mon 07:00",
            "deny fri 14:60 - mon 07:00",
            "deny 14:00 - mon 07:00",
            "deny fri 14:00 - mon 07:00 Europe/Atlantis",
            "deny fri 14:00 - mon 07:00 UTC today",
            "deny friday 14:00 - 15:00",
            "deny 14:00 - 14:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        let window: Window = "deny fri 14:00 - mon 07:00 Europe/Berlin".parse().unwrap();
        let json = serde_json::to_string(&window).unwrap();
        assert_eq!(json, "\"deny fri 14:00 - mon 07:00 Europe/Berlin\"");
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), window);
    }

    #[test]
    fn people_freeze_what_they_name_until_it_is_over() {
        let freeze = |words: &[&str], until: Option<i64>| Freeze {
            selector: Selector::any_of(words.iter().copied()),
            by: fixture::login("ana"),
            since: fixture::at(0),
            until: until.map(fixture::at),
            reason: Some("change freeze".into()),
        };
        let prod = fixture::project("prod");
        let now = fixture::at(10);
        for (freezes, expected) in [
            (vec![freeze(&["prod"], None)], Some("frozen by `@ana`: change freeze")),
            (vec![freeze(&[], Some(70))], Some("frozen by `@ana`: change freeze, until 2023-11-14 22:14 UTC")),
            (vec![freeze(&["dev"], None)], None),
            (vec![freeze(&["prod"], Some(10))], None),
            (vec![freeze(&["prod"], Some(70)), freeze(&["p*"], None)], Some("frozen by `@ana`: change freeze")),
            (vec![], None),
        ] {
            assert_eq!(frozen(&prod, &freezes, now).map(|frozen| frozen.to_string()).as_deref(), expected);
        }
        let new = Project { is_new: true, ..fixture::project("prod2") };
        assert!(frozen(&new, &[freeze(&["prod"], None)], now).is_some(), "nobody can say yet that it is not meant");
        assert!(frozen(&new, &[freeze(&["prod"], Some(10))], now).is_none());
    }
}
