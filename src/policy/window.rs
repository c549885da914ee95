//! Time windows: `Mon-Fri 08:00-18:00 Europe/Paris`. Pure: the moment is an argument, the zones are compiled in.

use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, Weekday};
use time_tz::{OffsetDateTimeExt, OffsetResult, PrimitiveDateTimeExt, Tz, timezones};

use crate::domain::Timestamp;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

const DAY_MINUTES: u16 = 24 * 60;

/// Days of the week and hours of the day in one zone. One that ends before it begins runs into the next day.
#[derive(Debug, Clone)]
pub(super) struct Window {
    days: [bool; 7],
    from: u16,
    to: u16,
    zone: &'static Tz,
}

impl Window {
    /// Parses the text form.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: String| {
            format!(
                "`window:{text}`: {why}; write such as `Mon-Fri 08:00-18:00 Europe/Paris` or `daily 22:00-06:00 UTC`"
            )
        };
        let parts: Vec<&str> = text.split(' ').collect();
        let [days, hours, zone] = parts.as_slice() else {
            return Err(bad("days, hours and a zone are needed, one blank between them".to_owned()));
        };
        let zone = timezones::get_by_name(zone)
            .ok_or_else(|| bad(format!("`{zone}` is not a zone of the time zone database")))?;
        let (from, to) = hours.split_once('-').ok_or_else(|| bad("the hours are not HH:MM-HH:MM".to_owned()))?;
        let minutes = |text: &str| clock(text).ok_or_else(|| bad(format!("`{text}` is not a time of day")));
        let (from, to) = (minutes(from)?, minutes(to)?);
        if from == to || from == DAY_MINUTES {
            return Err(bad("it has no length; a whole day is 00:00-24:00".to_owned()));
        }
        Ok(Self { days: self::days(days).ok_or_else(|| bad(format!("`{days}` names no days")))?, from, to, zone })
    }

    /// When the window that `at` lies in ends; none when it lies in none.
    pub(super) fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let local = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_nanos())).ok()?.to_timezone(self.zone);
        let today = local.date();
        let minute = u16::from(local.hour()) * 60 + u16::from(local.minute());
        let overnight = self.to < self.from;
        let (begins_today, ends) = if overnight {
            if minute >= self.from { (true, today.next_day()?) } else { (false, today) }
        } else {
            (true, today)
        };
        let first_day = if begins_today { today } else { today.previous_day()? };
        let inside = match (overnight, begins_today) {
            (false, _) => minute >= self.from && minute < self.to,
            (true, true) => true,
            (true, false) => minute < self.to,
        };
        let end = self.moment(ends, local)?;
        (inside && self.runs_on(first_day) && end > at).then_some(end)
    }

    fn runs_on(&self, day: Date) -> bool {
        self.days.get(usize::from(day.weekday().number_days_from_monday())).copied().unwrap_or(false)
    }

    /// The end of the window on `day` as a moment. Where the clock is set, the earlier reading counts, so that nothing is held too long.
    fn moment(&self, day: Date, near: OffsetDateTime) -> Option<Timestamp> {
        let (day, minutes) = if self.to == DAY_MINUTES { (day.next_day()?, 0) } else { (day, self.to) };
        let time = Time::from_hms(u8::try_from(minutes / 60).ok()?, u8::try_from(minutes % 60).ok()?, 0).ok()?;
        let local = PrimitiveDateTime::new(day, time);
        let moment = match local.assume_timezone(self.zone) {
            OffsetResult::Some(moment) => moment,
            OffsetResult::Ambiguous(one, other) => one.min(other),
            OffsetResult::None => local.assume_offset(near.offset()),
        };
        i64::try_from(moment.unix_timestamp_nanos()).ok().map(Timestamp::from_nanos)
    }
}

fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

fn days(text: &str) -> Option<[bool; 7]> {
    if text == "daily" {
        return Some([true; 7]);
    }
    let number = |name: &str| DAYS.iter().position(|(own, _)| *own == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        let mut day = first;
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(window: &str, at: &str) -> Option<String> {
        Window::parse(window).expect("a window").end(at.parse().expect("a time")).map(|end| end.to_string())
    }

    #[test]
    fn working_hours() {
        let window = "Mon-Fri 08:00-18:00 Europe/Paris";
        // 2026-11-23 is a Monday; Paris is at +01:00 then, and at +02:00 in July.
        assert_eq!(end(window, "2026-11-23T07:00:00Z").as_deref(), Some("2026-11-23T17:00:00Z"));
        assert_eq!(end(window, "2026-11-23T16:59:59Z").as_deref(), Some("2026-11-23T17:00:00Z"));
        assert_eq!(end(window, "2026-07-06T06:00:00Z").as_deref(), Some("2026-07-06T16:00:00Z"));
        for at in [
            "2026-11-23T06:59:59Z",
            "2026-11-23T17:00:00Z",
            "2026-11-22T10:00:00Z",
            "2026-11-28T10:00:00Z",
            "2026-07-06T16:00:00Z",
        ] {
            assert_eq!(end(window, at), None, "{at}");
        }
    }

    #[test]
    fn nights_belong_to_the_day_they_begin_on() {
        let window = "Fri 22:00-06:00 UTC";
        assert_eq!(end(window, "2026-11-27T22:00:00Z").as_deref(), Some("2026-11-28T06:00:00Z"));
        assert_eq!(end(window, "2026-11-28T05:59:00Z").as_deref(), Some("2026-11-28T06:00:00Z"));
        for at in ["2026-11-27T05:00:00Z", "2026-11-28T06:00:00Z", "2026-11-28T22:30:00Z", "2026-11-27T21:59:59Z"] {
            assert_eq!(end(window, at), None, "{at}");
        }
    }

    #[test]
    fn whole_days_and_lists() {
        assert_eq!(end("daily 00:00-24:00 UTC", "2026-11-27T23:59:59Z").as_deref(), Some("2026-11-28T00:00:00Z"));
        assert!(end("Sat-Mon 00:00-24:00 UTC", "2026-11-22T12:00:00Z").is_some());
        assert!(end("Sat-Mon 00:00-24:00 UTC", "2026-11-24T12:00:00Z").is_none());
        assert!(end("Mon,Wed 00:00-24:00 UTC", "2026-11-25T12:00:00Z").is_some());
    }

    #[test]
    fn clocks_that_are_set() {
        // Paris, 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
        assert!(
            end("daily 00:00-02:30 Europe/Paris", "2026-03-29T00:30:00Z")
                .is_some_and(|e| e.as_str() <= "2026-03-29T01:30:00Z")
        );
        assert_eq!(end("daily 00:00-02:30 Europe/Paris", "2026-03-29T01:00:00Z"), None);
        assert_eq!(
            end("daily 00:00-02:30 Europe/Paris", "2026-10-25T00:00:00Z").as_deref(),
            Some("2026-10-25T00:30:00Z")
        );
        assert_eq!(end("daily 00:00-02:30 Europe/Paris", "2026-10-25T01:45:00Z"), None);
        // Inside by the clock on the wall the second time round, but the window has ended already.
        assert_eq!(end("daily 00:00-02:30 Europe/Paris", "2026-10-25T01:10:00Z"), None);
    }

    #[test]
    fn windows_that_are_refused() {
        for text in [
            "",
            "Mon-Fri",
            "Mon-Fri 08:00-18:00",
            "Mon-Fri 8:00-18:00 UTC",
            "Mon-Fri 08:00-25:00 UTC",
            "Mon-Fri 08:00-18:60 UTC",
            "Mon-Fri 08:00-08:00 UTC",
            "Mon-Fri 24:00-06:00 UTC",
            "Mon-Fri 08:00 18:00 UTC",
            "Mon-Fri 08:00-18:00 Mars/Base",
            "mon-fri 08:00-18:00 UTC",
            "Xyz 08:00-18:00 UTC",
            "Mon- 08:00-18:00 UTC",
            " daily 00:00-24:00 UTC",
            "daily  00:00-24:00 UTC",
            "Mon-Fri 08:00-18:00 UTC x",
        ] {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }
}
