//! A replay as one page: charts and tables, no scripts, nothing that is loaded from elsewhere, everything escaped.

use std::fmt::Write as _;

use stepgate_types::thousands;

use super::chart::{self, BEFORE, NOW};
use super::{Report, show};
use crate::audit::{STYLE, escaped};

/// What a replay has besides reports.
const OWN: &str = "\
svg{width:100%;height:auto;background:#fff;border:1px solid var(--line);border-radius:8px;padding:8px}\
svg text{font-size:12px;fill:#1d2733}\
.key span{display:inline-block;width:12px;height:12px;margin:0 6px 0 18px;vertical-align:-1px}\
td.changed{background:#fff8e6;font-weight:600}\
.big{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}\
.big div{background:#fff;border:1px solid var(--line);border-radius:8px;padding:10px 16px}\
.big b{display:block;font-size:24px;font-variant-numeric:tabular-nums}\
.big span{color:var(--soft)}";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let tally = &report.tally;
    let title = format!("Replay of {}", report.candidate.policy);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}{OWN}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n\
         <p>{} statements from {} to {}, compared with {}</p>\n</header>\n",
        thousands(tally.statements),
        escaped(report.since.as_deref().unwrap_or("the beginning")),
        escaped(&report.until),
        match &report.against {
            Some(against) => format!("{}, replayed", escaped(&against.policy)),
            None => "what was decided".to_owned(),
        },
        title = escaped(&title),
    );
    page.push_str("<section class=\"big\" aria-label=\"In short\">\n");
    for (what, count) in [
        ("decided otherwise", tally.changed),
        ("undecidable", tally.undecidable),
        ("requests now", tally.after.total),
        ("requests before", tally.before.total),
        ("new requests", tally.new_prompts),
        ("requests no more", tally.lost_prompts),
        ("denied that were not", tally.denied),
    ] {
        let _ = writeln!(page, "<div><b>{}</b><span>{what}</span></div>", thousands(count));
    }
    page.push_str("</section>\n");
    if let Some(said) = super::over_budget(report) {
        let _ = writeln!(page, "<p class=\"note\" role=\"alert\">{}</p>", escaped(&capital(&said)));
    }
    if report.candidate.mode == "monitor" {
        page.push_str("<p class=\"note\">The policy is in mode monitor: requests are counted as if it were enforced.</p>\n");
    }
    page.push_str("<h2>Decisions: from (rows) to (columns)</h2>\n");
    matrix(&mut page, &show::matrix(&tally.matrix));
    section(&mut page, "Why some cannot be told", &["statements", "reason", "what the record lacks"], {
        let reasons = tally.reasons.iter();
        reasons.map(|it| vec![thousands(it.statements), it.reason.to_owned(), it.meaning.to_owned()])
    });
    page.push_str("<h2>Requests of people a day</h2>\n");
    rows(&mut page, &show::spreads(report));
    let _ = writeln!(
        page,
        "<p class=\"key\"><span style=\"background:{BEFORE}\"></span>before<span style=\"background:{NOW}\"></span>now</p>\n{}",
        chart::by_day(&tally.days)
    );
    page.push_str("<h2>Requests by rule</h2>\n");
    page.push_str(&chart::by_rule(&tally.rules));
    section(&mut page, "Rules", &["rule", "matched", "requests", "denied", "people asked"], {
        let counts =
            |it: &super::tally::RuleCount| [it.matched, it.prompts, it.denied, it.people].map(thousands);
        tally.rules.iter().map(move |it| [vec![it.rule.clone()], counts(it).to_vec()].concat())
    });
    section(
        &mut page,
        "Would have been denied",
        &["statements", "people", "kinds", "database", "tables", "labels", "rules"],
        tally.denied_examples.iter().map(|it| {
            vec![
                thousands(it.statements),
                thousands(it.people),
                it.kinds.join(", "),
                it.database.clone(),
                it.relations.join(", "),
                it.labels.join(", "),
                it.rules.join(", "),
            ]
        }),
    );
    section(&mut page, "By day", &["day", "requests before", "requests now"], {
        tally.days.iter().map(|it| vec![it.day.clone(), thousands(it.before), thousands(it.after)])
    });
    page.push_str(
        "<footer>Made from the records of the audit log, without any statement's text. Requests are counted as the desk \
         remembers approvals; every request is taken for approved at once unless it was refused in fact.</footer>\n\
         </main>\n</body>\n</html>\n",
    );
    page
}

fn section(page: &mut String, title: &str, heads: &[&str], lines: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(page, "<h2>{}</h2>", escaped(title));
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(heads).chain(lines).collect();
    rows(page, &all);
}

fn rows(page: &mut String, rows: &[Vec<String>]) {
    let [heads, rows @ ..] = rows else { return };
    if rows.is_empty() {
        page.push_str("<p class=\"none\">none</p>\n");
        return;
    }
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(&head.to_lowercase()));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let number = cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') && !cell.is_empty();
            let _ = write!(page, "<td{}>{}</td>", if number { " class=\"n\"" } else { "" }, escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// What changed stands out.
fn matrix(page: &mut String, rows: &[Vec<String>]) {
    let [heads, rows @ ..] = rows else { return };
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(&head.to_lowercase()));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let [name, counts @ ..] = row.as_slice() else { continue };
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escaped(name));
        for (head, count) in heads.iter().skip(1).zip(counts) {
            let changed = head != name && count != "-";
            let class = if changed { "n changed" } else { "n" };
            let _ = write!(page, "<td class=\"{class}\">{}</td>", escaped(count));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
