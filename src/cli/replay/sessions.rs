//! Conversations in a replay: how each one's drift went from turn to turn, as a table and as plots. Reads no traffic.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::page::Safe;
use crate::cli::output::{Paint, Table, count};
use crate::config::Config;
use crate::guard::Snapshot;
use crate::guard::events::SessionTurn;
use crate::session::MemorySessions;
use crate::text::Str;

/// Conversations in the table.
const SHOWN: usize = 20;
/// Conversations plotted.
const PLOTTED: usize = 60;
/// Turns kept of one conversation; the drift goes on being counted.
const TURNS: usize = 500;
/// Conversations kept. Beyond it they are only counted.
const KEPT: usize = 20_000;

/// The conversations of a replay.
#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    /// The drift over which a conversation counts as drifting.
    limit: f64,
    /// How many there are.
    count: usize,
    /// How many went over the limit.
    drifted: usize,
    /// Those that drifted most first.
    conversations: Vec<Conversation>,
    #[serde(skip)]
    known: HashMap<Str, usize>,
}

/// One conversation.
#[derive(Debug, Serialize)]
struct Conversation {
    /// Its name, a hash.
    session: String,
    /// Its highest drift.
    peak: f64,
    /// Its turns, by the state after each.
    turns: Vec<Turn>,
}

/// A turn.
#[derive(Debug, Serialize)]
struct Turn {
    /// Its line in the input.
    line: usize,
    /// The drift after it.
    drift: f64,
    /// The mean of residuals after it.
    mean: f64,
    /// What the policy would have done.
    action: &'static str,
}

/// A snapshot that follows conversations, in a memory of its own: a recording has no clock.
pub(super) fn followed(snapshot: Snapshot, config: &Config) -> Snapshot {
    let sessions = MemorySessions::new(Duration::from_secs(u64::from(u32::MAX)));
    snapshot.with_sessions(Arc::new(sessions), config.session.key.clone().into())
}

impl Sessions {
    pub(super) fn new(limit: f64) -> Self {
        Sessions { limit, count: 0, drifted: 0, conversations: Vec::new(), known: HashMap::new() }
    }

    /// Takes in a turn.
    pub(super) fn take(&mut self, line: usize, name: &Str, turn: &SessionTurn, action: &'static str) {
        let Some(after) = turn.after else { return };
        let index = match self.known.get(name) {
            Some(index) => *index,
            None => {
                self.count += 1;
                if self.conversations.len() >= KEPT {
                    return;
                }
                self.conversations.push(Conversation { session: name.to_string(), peak: 0.0, turns: Vec::new() });
                self.known.insert(name.clone(), self.conversations.len() - 1);
                self.conversations.len() - 1
            }
        };
        let conversation = &mut self.conversations[index];
        if conversation.peak < self.limit && after.drift() >= self.limit {
            self.drifted += 1;
        }
        conversation.peak = conversation.peak.max(after.drift());
        if conversation.turns.len() < TURNS {
            conversation.turns.push(Turn { line, drift: round(after.drift()), mean: round(after.mean), action });
        }
    }

    /// Puts those that drifted most first.
    pub(super) fn finish(&mut self) {
        self.known.clear();
        self.conversations.sort_by(|a, b| b.peak.total_cmp(&a.peak).then(b.turns.len().cmp(&a.turns.len())));
        self.conversations.iter_mut().for_each(|conversation| conversation.peak = round(conversation.peak));
    }

    /// Writes a table: one line a conversation, its drift drawn in blocks.
    pub(super) fn table(&self, out: &mut dyn Write, paint: Paint) -> anyhow::Result<()> {
        let over = if self.drifted == 0 { "none".to_owned() } else { self.drifted.to_string() };
        let head = format!("{}, {over} over the drift limit of {}", count(self.count, "conversation"), self.limit);
        writeln!(out, "\n{}", paint.strong(&head))?;
        if self.conversations.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["conversation", "turns", "peak", "over from turn", "drift by turn"]).right(1..4);
        for conversation in self.conversations.iter().take(SHOWN) {
            let over = conversation.turns.iter().position(|turn| turn.drift >= self.limit);
            table.row([
                short(&conversation.session).to_owned(),
                conversation.turns.len().to_string(),
                format!("{:.1}", conversation.peak),
                over.map_or_else(|| "-".to_owned(), |turn| (turn + 1).to_string()),
                conversation.blocks(self.limit),
            ]);
        }
        table.write(out, |row, _, _, padded| if row == 0 { paint.faint(&padded) } else { padded })?;
        if self.conversations.len() > SHOWN {
            let rest = self.conversations.len() - SHOWN;
            writeln!(out, "{}", paint.faint(&format!("and {rest} more: --format json or html shows them")))?;
        }
        Ok(())
    }

    /// Writes plots: drift and mean over turns, the limit, and a dot for each turn that was not allowed.
    pub(super) fn page(&self, page: &mut String) -> fmt::Result {
        use fmt::Write as _;
        writeln!(
            page,
            "<h2>Conversations: {} <span class=\"faint\">{} over the drift limit of {}</span></h2>",
            self.count, self.drifted, self.limit
        )?;
        page.push_str(
            "<p class=\"faint\">Thick: drift, the sum of what was unusual; thin: the mean of the last turns; dashed: the limit; \
             dots: turns that the policy did not simply allow.</p>\n<div class=\"plots\">\n",
        );
        for conversation in self.conversations.iter().take(PLOTTED) {
            conversation.plot(page, self.limit)?;
        }
        page.push_str("</div>\n");
        if self.conversations.len() > PLOTTED {
            writeln!(page, "<p class=\"faint\">The {PLOTTED} that drifted most; --format json has the others.</p>")?;
        }
        Ok(())
    }
}

impl Conversation {
    /// The drift after each turn as a row of blocks, the limit at three quarters of their height.
    fn blocks(&self, limit: f64) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const MOST: usize = 40;
        // Of a long conversation every so many turns, the worst of each run.
        let run = self.turns.len().div_ceil(MOST).max(1);
        let block = |turns: &[Turn]| {
            let drift = turns.iter().map(|turn| turn.drift).fold(0.0, f64::max);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the blocks")]
            let level = (drift / limit * 6.0).clamp(0.0, 7.0) as usize;
            BLOCKS[level]
        };
        self.turns.chunks(run).map(block).collect()
    }

    fn plot(&self, page: &mut String, limit: f64) -> fmt::Result {
        use fmt::Write as _;
        const WIDTH: f64 = 300.0;
        const HEIGHT: f64 = 110.0;
        const LEFT: f64 = 22.0;
        let top = self.peak.max(limit) * 1.1;
        let turns = self.turns.len().max(2);
        #[expect(clippy::cast_precision_loss, reason = "at most a few hundred turns")]
        let x = |turn: usize| LEFT + (WIDTH - LEFT - 6.0) * turn as f64 / (turns - 1) as f64;
        let y = |value: f64| 6.0 + (HEIGHT - 22.0) * (1.0 - (value / top).clamp(0.0, 1.0));
        let line = |of: &dyn Fn(&Turn) -> f64| {
            let points: Vec<String> =
                self.turns.iter().enumerate().map(|(turn, at)| format!("{:.1},{:.1}", x(turn), y(of(at)))).collect();
            points.join(" ")
        };
        write!(
            page,
            "<article><p>{} <span class=\"faint\">{} turns, peak {:.1}</span></p>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"drift by turn\">",
            Safe(short(&self.session)),
            self.turns.len(),
            self.peak
        )?;
        write!(page, "<path class=\"axis\" d=\"M{LEFT} 6V{0}H{WIDTH}\"/>", y(0.0))?;
        write!(page, "<path class=\"limit\" d=\"M{LEFT} {0:.1}H{WIDTH}\"/>", y(limit))?;
        write!(page, "<text x=\"0\" y=\"{:.1}\">{limit:.1}</text>", y(limit) + 3.0)?;
        write!(
            page,
            "<text x=\"{LEFT}\" y=\"{HEIGHT}\">1</text><text x=\"{0}\" y=\"{HEIGHT}\" text-anchor=\"end\">{1}</text>",
            WIDTH,
            self.turns.len()
        )?;
        write!(page, "<polyline class=\"mean\" points=\"{}\"/>", line(&|turn| turn.mean))?;
        write!(page, "<polyline class=\"drift\" points=\"{}\"/>", line(&|turn| turn.drift))?;
        for (turn, at) in self.turns.iter().enumerate().filter(|(_, at)| at.action != "allow") {
            write!(
                page,
                "<circle class=\"{0}\" cx=\"{1:.1}\" cy=\"{2:.1}\" r=\"3\"><title>turn {3}, line {4}: {0}, drift {5}</title></circle>",
                at.action,
                x(turn),
                y(at.drift),
                turn + 1,
                at.line,
                at.drift
            )?;
        }
        page.push_str("</svg></article>\n");
        Ok(())
    }
}

/// Enough of a hash to tell conversations apart by.
fn short(name: &str) -> &str {
    &name[name.len().saturating_sub(12)..]
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::SessionFacts;
    use crate::session::State;

    fn sessions() -> Sessions {
        let mut sessions = Sessions::new(5.0);
        let mut take = |line, name: &str, drift| {
            let turn = SessionTurn { before: SessionFacts::default(), after: Some(State::drifting(drift)) };
            sessions.take(line, &name.into(), &turn, if drift > 5.0 { "flag" } else { "allow" });
        };
        for turn in 0..100 {
            take(turn, "calm", 0.0);
            take(turn, "<wild>", f64::from(u32::try_from(turn).unwrap()) / 10.0);
        }
        sessions.finish();
        sessions
    }

    #[test]
    fn the_worst_come_first_and_are_drawn() {
        let sessions = sessions();
        assert_eq!((sessions.count, sessions.drifted, &*sessions.conversations[0].session), (2, 1, "<wild>"));
        let blocks: Vec<String> = sessions.conversations.iter().map(|one| one.blocks(5.0)).collect();
        assert_eq!(blocks[1], "▁".repeat(34), "of every three turns the worst");
        assert!(blocks[0].starts_with('▁') && blocks[0].ends_with('█'), "{}", blocks[0]);
    }

    #[test]
    fn a_plot_is_whole_and_escaped() {
        let mut page = String::new();
        sessions().page(&mut page).unwrap();
        assert!(!page.contains("<wild>") && page.contains("&lt;wild&gt;"), "{page}");
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.matches("<circle").count() > 20 && !page.contains("NaN"));
    }
}
