//! Reading the two small XML documents that we ask Azure for.

/// The texts of every element called `name`, in order.
///
/// Azure writes neither attributes on the elements we look for nor comments or CDATA in them.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once(&begin)?;
        let (text, after) = from.split_once(&end)?;
        rest = after;
        Some(unescape(text))
    })
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_order() {
        let xml = "<?xml version=\"1.0\"?><E><Blobs><Blob><Name>a&amp;lt;</Name><P><Name2>x</Name2></P>\
                   </Blob><Blob><Name>b</Name></Blob></Blobs><NextMarker /></E>";
        assert_eq!(elements(xml, "Name").collect::<Vec<_>>(), ["a&lt;", "b"]);
        assert_eq!(elements(xml, "NextMarker").count(), 0);
    }
}
