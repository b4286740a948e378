//! QR codes as SVG, drawn into the page: nothing is loaded, nothing is kept.

use std::fmt::Write as _;

use maud::{Markup, html};

/// White around it, in modules (ISO/IEC 18004: four).
const QUIET: usize = 4;

/// The code of a text, or nothing if it is too long for one.
pub(crate) fn svg(text: &str) -> Option<Markup> {
    let code = fast_qr::QRBuilder::new(text.as_bytes()).build().ok()?;
    let mut dark = String::new();
    for (y, row) in code.data.chunks(code.size).take(code.size).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, module)| module.value()) {
            // Writing to a String cannot fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    let side = code.size + 2 * QUIET;
    Some(html! {
        // Dark on light whatever the page's colours: readers want it so.
        svg.qr viewBox={ "0 0 " (side) " " (side) } role="img" aria-label="QR code for an authenticator app"
            shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(dark) fill="#000" {}
        }
    })
}
