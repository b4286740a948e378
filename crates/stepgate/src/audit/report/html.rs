//! A report as one page: no scripts, nothing that is loaded from elsewhere, everything escaped. Prints well.

use serde_json::Value;
use stepgate_types::is_deceptive;

use super::{Report, Section, cell};

pub(crate) const STYLE: &str = "\
:root{--ink:#1d2733;--soft:#5b6775;--line:#dde3ea;--back:#f5f7f9;--mark:#14507d}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}\
header{border-bottom:3px solid var(--mark);padding-bottom:12px;margin-bottom:24px}\
h1{font-size:26px;line-height:1.25;margin:0 0 4px}\
h2{font-size:17px;margin:36px 0 10px}\
header p{margin:0;color:var(--soft)}\
.card{background:#fff;border:1px solid var(--line);border-radius:8px;padding:4px 18px}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:0 24px;margin:10px 0}\
dt{color:var(--soft);padding:4px 0}\
dd{margin:0;padding:4px 0;overflow-wrap:anywhere}\
.note{background:#fff8e6;border-left:4px solid #d59b1c;padding:8px 14px;margin:12px 0}\
.wide{overflow-x:auto;background:#fff;border:1px solid var(--line);border-radius:8px}\
table{border-collapse:collapse;width:100%}\
th{position:sticky;top:0;background:#eef2f6;text-align:left;font-weight:600;white-space:nowrap}\
th,td{padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}\
tr:last-child td{border-bottom:0}\
td{overflow-wrap:anywhere;min-width:5em;max-width:28em}\
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.none{color:var(--soft)}\
footer{margin-top:40px;color:var(--soft);font-size:13px}\
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\
@media print{body{background:#fff}main{max-width:none;padding:0}.wide,.card{border-radius:0}th{position:static}tr{break-inside:avoid}}";

pub(super) fn write(report: &Report) -> String {
    let title = escaped(&report.head.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n\
         <p>From the audit log of Stepgate</p>\n</header>\n<section class=\"card\">\n<dl>\n"
    );
    for (name, value) in &report.head.facts {
        page.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value)));
    }
    page.push_str("</dl>\n</section>\n");
    for note in &report.head.notes {
        page.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(note)));
    }
    report.sections.iter().for_each(|section| write_section(section, &mut page));
    page.push_str(
        "<footer>Whether the log that this was made from is whole is told by <code>stepgate audit verify \
         --checkpoint FILE</code>, with a checkpoint that was kept elsewhere; the records themselves come with \
         <code>stepgate audit export</code>.</footer>\n</main>\n</body>\n</html>\n",
    );
    page
}

fn write_section(section: &Section, page: &mut String) {
    page.push_str(&format!("<h2>{}</h2>\n", escaped(&section.title)));
    if section.rows.is_empty() {
        page.push_str("<p class=\"none\">none</p>\n");
        return;
    }
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for column in &section.columns {
        page.push_str(&format!("<th scope=\"col\">{}</th>", escaped(&column.replace('_', " "))));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &section.rows {
        page.push_str("<tr>");
        for value in row {
            let class = if matches!(value, Value::Number(_)) { " class=\"n\"" } else { "" };
            page.push_str(&format!("<td{class}>{}</td>", escaped(&cell(value))));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// Text that is nothing but text, in elements and attributes; what would turn it around or hide it is shown as a mark.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if is_deceptive(letter) && letter != '\n' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Head;
    use super::*;

    #[test]
    fn nothing_that_a_database_or_person_is_called_gets_out_of_its_cell() {
        let evil = "<script>alert(1)</script>\"'&\u{202e}\u{7}\u{2028}\u{2029}\u{feff}\u{ad}";
        let mut section = Section::new(evil, evil, &[evil]);
        section.rows.push(vec![json!(evil)]);
        section.rows.push(vec![json!([evil, 7])]);
        let facts = vec![(evil.to_owned(), evil.to_owned())];
        let head = Head { title: evil.to_owned(), facts, notes: vec![evil.to_owned()] };
        let page = write(&Report { head, sections: vec![section] });
        assert!(!page.contains("<script") && !page.contains("alert(1)</"), "{page}");
        assert!(!page.contains(['\u{202e}', '\u{7}', '\u{2028}', '\u{2029}', '\u{feff}', '\u{ad}']));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}
