//! A replay's account as one HTML file that needs nothing else: no script, no font, no picture. What models said is escaped, and the page's
//! own policy would let no script run if it were not.

use std::fmt::{self, Display, Write};

use super::account::{Account, By, Decision, Finding, Fired, Judged, OUTCOMES};

/// Findings on the page; the JSON form has more.
const SHOWN: usize = 1000;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:light-dark(#d8dbe0,#3a3f47);--faint:light-dark(#5c6370,#9aa2ad);--card:light-dark(#f6f7f9,#1d2126);\
--allow:light-dark(#1a7f37,#57c774);--flag:light-dark(#0b6e99,#5fb8dd);--reanchor:light-dark(#00707a,#5cc8d0);--retry:light-dark(#9a6700,#e0b13f);\
--block:light-dark(#c62828,#ff7b72);--unscored:light-dark(#8250df,#c297ff);--passed:light-dark(#5c6370,#9aa2ad)}\
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.faint{color:var(--faint)}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{font-weight:600;color:var(--faint)}.n{text-align:right;font-variant-numeric:tabular-nums}\
.bar{display:flex;height:1rem;border-radius:4px;overflow:hidden;margin:.5rem 0}.bar i{min-width:2px}\
.a{font-weight:600;white-space:nowrap}\
.allow{color:var(--allow)}.flag{color:var(--flag)}.reanchor{color:var(--reanchor)}.retry{color:var(--retry)}.block{color:var(--block)}\
.unscored{color:var(--unscored)}.passed{color:var(--passed)}\
i.allow,i.flag,i.reanchor,i.retry,i.block,i.unscored,i.passed{background:currentColor}\
article{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem .9rem;margin:.6rem 0}\
article p{margin:.3rem 0}blockquote{margin:.4rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}\
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:.6rem}.plots article{margin:0}\
svg{width:100%;height:auto;display:block}.axis{stroke:var(--line);fill:none}.limit{stroke:var(--block);stroke-dasharray:4 3;fill:none}\
.drift{stroke:var(--flag);stroke-width:2;fill:none;stroke-linejoin:round}.mean{stroke:var(--faint);fill:none}\
circle{stroke:none;fill:currentColor}text{fill:var(--faint);font:9px system-ui,sans-serif}\
mark{background:light-dark(#ffe08a,#6b5300);color:inherit;border-radius:2px}";

/// Text between tags or in a quoted attribute.
pub(super) struct Safe<T>(pub(super) T);

impl<T: Display> Display for Safe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // No character that HTML cannot hold, and none that turns the direction of what follows.
                '\n' | '\t' => self.0.write_char(c)?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.write_char('\u{fffd}')?,
                c if c.is_control() => self.0.write_char('\u{fffd}')?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Writes the page.
pub(super) fn write(account: &Account) -> Result<String, fmt::Error> {
    let mut page = String::new();
    let title = match &account.against {
        Some(against) => format!("{} against {}", account.policy.title, against.title),
        None => account.policy.title.clone(),
    };
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Replay: {title}</title>\n<style>{STYLE}</style></head>\n<body>\n\
         <h1>Replay: {title}</h1>\n\
         <p class=\"faint\">{} exchanges from {}, judged in character of {} with classifier {}{}</p>\n",
        account.exchanges,
        Safe(&account.input),
        Safe(&account.persona),
        Safe(&account.classifier),
        if account.unreadable > 0 { format!("; {} rows could not be read", account.unreadable) } else { String::new() },
        title = Safe(&title),
    )?;
    for judged in std::iter::once(&account.policy).chain(&account.against) {
        policy(&mut page, judged, account.exchanges)?;
    }
    if account.against.is_some() {
        changes(&mut page, account)?;
    }
    apis(&mut page, account)?;
    if let Some(sessions) = &account.sessions {
        sessions.page(&mut page)?;
    }
    findings(&mut page, account)?;
    page.push_str("</body></html>\n");
    Ok(page)
}

fn policy(page: &mut String, judged: &Judged, exchanges: usize) -> fmt::Result {
    write!(
        page,
        "<h2>{} <span class=\"faint\">{}, {}</span></h2>\n<div class=\"bar\">",
        Safe(&judged.name),
        judged.mode,
        Safe(&judged.file)
    )?;
    for outcome in OUTCOMES {
        let count = judged.count(outcome);
        if count > 0 {
            let share = 100.0 * count as f64 / exchanges.max(1) as f64;
            write!(page, "<i class=\"{outcome}\" style=\"width:{share:.2}%\" title=\"{outcome}: {count}\"></i>")?;
        }
    }
    page.push_str("</div>\n<p>");
    for outcome in OUTCOMES {
        write!(page, "<span class=\"a {outcome}\">{outcome}</span> {} &nbsp; ", judged.count(outcome))?;
    }
    page.push_str("</p>\n");
    if judged.rules.is_empty() {
        return Ok(());
    }
    page.push_str("<table><tr><th>rule</th><th>action</th><th class=\"n\">exchanges</th></tr>\n");
    for (rule, Fired { action, exchanges: count }) in &judged.rules {
        writeln!(page, "<tr><td>{}</td><td class=\"a {action}\">{action}</td><td class=\"n\">{count}</td></tr>", Safe(rule))?;
    }
    page.push_str("</table>\n");
    Ok(())
}

fn changes(page: &mut String, account: &Account) -> fmt::Result {
    writeln!(page, "<h2>Differences: {}</h2>", account.differences())?;
    if account.changes.is_empty() {
        page.push_str("<p>The two policies decide alike on every exchange.</p>\n");
        return Ok(());
    }
    page.push_str("<table><tr><th>from</th><th>to</th><th class=\"n\">exchanges</th></tr>\n");
    for change in &account.changes {
        page.push_str("<tr>");
        for By { action, rule } in [&change.from, &change.to] {
            let rule = rule.as_deref().unwrap_or_default();
            write!(page, "<td><span class=\"a {action}\">{action}</span> {}</td>", Safe(rule))?;
        }
        writeln!(page, "<td class=\"n\">{}</td></tr>", change.exchanges)?;
    }
    page.push_str("</table>\n");
    Ok(())
}

fn apis(page: &mut String, account: &Account) -> fmt::Result {
    page.push_str("<h2>Wire formats</h2>\n<table><tr><th>format</th>");
    for outcome in OUTCOMES {
        write!(page, "<th class=\"n\">{outcome}</th>")?;
    }
    page.push_str("</tr>\n");
    for (api, outcomes) in &account.apis {
        write!(page, "<tr><td>{api}</td>")?;
        for outcome in OUTCOMES {
            write!(page, "<td class=\"n\">{}</td>", outcomes.get(outcome).copied().unwrap_or(0))?;
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n<p class=\"faint\">passed: errors of the upstream and endpoints without text; unscored: let through unjudged.</p>\n");
    Ok(())
}

fn findings(page: &mut String, account: &Account) -> fmt::Result {
    let total = account.findings.len() + account.findings_left_out;
    writeln!(page, "<h2>Findings: {total}</h2>")?;
    if total > SHOWN {
        writeln!(page, "<p class=\"faint\">The first {SHOWN}; --format json has up to {}.</p>", account.findings.len())?;
    }
    account.findings.iter().take(SHOWN).try_for_each(|one| finding(page, one))
}

fn finding(page: &mut String, finding: &Finding) -> fmt::Result {
    let Finding { line, id, api, model, decision, against, evidence, text } = finding;
    page.push_str("<article><p>");
    decided(page, decision)?;
    if let Some(against) = against.as_ref().filter(|against| *against != decision) {
        page.push_str(" &nbsp;→&nbsp; ");
        decided(page, against)?;
    }
    write!(page, "</p>\n<p class=\"faint\">line {line}")?;
    if let Some(id) = id {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        write!(page, ", {}", Safe(id))?;
    }
    write!(page, ", {api}")?;
    if let Some(model) = model {
        write!(page, ", {}", Safe(model))?;
    }
    if let Some(channel) = text.channel.filter(|channel| *channel != "answer") {
        write!(page, ", in the {channel}")?;
    }
    page.push_str("</p>\n");
    if let Some(evidence) = evidence {
        writeln!(page, "<p>{}</p>", Safe(evidence))?;
    }
    if !text.matched.is_empty() {
        writeln!(
            page,
            "<blockquote>{}<mark>{}</mark>{}</blockquote>",
            Safe(&text.before),
            Safe(&text.matched),
            Safe(&text.after)
        )?;
    }
    page.push_str("</article>\n");
    Ok(())
}

fn decided(page: &mut String, Decision { action, rule, labels }: &Decision) -> fmt::Result {
    write!(page, "<span class=\"a {action}\">{action}</span>")?;
    if let Some(rule) = rule {
        write!(page, " {}", Safe(rule))?;
    }
    if !labels.is_empty() {
        write!(page, " <span class=\"faint\">{}</span>", Safe(labels.join(", ")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{account, judged, policy, replayed};
    use super::*;
    use crate::verdict::Action;

    #[test]
    fn what_models_said_is_escaped() {
        let attack = "<script>alert('x')</script>\" onload=\"y & \u{202e}z\u{0}";
        let escaped = Safe(attack).to_string();
        assert_eq!(escaped, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;y &amp; \u{fffd}z\u{fffd}");
        let policy = policy("name = \"<one>\"");
        let mut account = account(&policy, Some(&policy));
        let (mut from, to) =
            (replayed(judged(Action::Allow, None, Vec::new())), replayed(judged(Action::Block, Some(attack), Vec::new())));
        from.model = Some(attack.into());
        let decisions = (Decision::of(&from, &policy), Decision::of(&to, &policy));
        account.take(1, Some(attack.into()), &from, decisions.0, Some((decisions.1, to)));
        account.input = attack.to_owned();
        let page = write(&account).unwrap();
        assert!(!page.contains("<script") && !page.contains("onload=\"") && !page.contains("<one>"), "{page}");
        assert!(page.contains("so &lt;b&gt;<mark>it &amp; that</mark>"), "{page}");
        assert!(page.contains("Differences: 1") && page.contains("Findings: 1"));
    }
}
