//! `document.uploaded`: a document was uploaded and waits to be parsed.
//!
//! Published by `POST /upload`. Not here: what is in it. Invariant: names the document, as the events of its
//! further way do.
//!
//! Paka's page names the topic and leaves the fields open: the type is the media type of RFC 6838, the size in
//! bytes, both as the File API of browsers and the multipart upload have them (`type`, `size`).

use crate::number::Whole;
use crate::text::{IdText, Text};

crate::contract! {
    /// A document was uploaded and waits to be parsed.
    pub struct DocumentUploaded<'a> = Paka "document.uploaded" by_topic {
        /// The document.
        required document: IdText<'a> = "document_id" | "doc_id" | "document/id",
        /// Its media type.
        optional mime_type: Text<'a> = "mime_type" | "content_type" | "media_type",
        /// How large it is, in bytes.
        optional bytes: Whole = "bytes" | "size_bytes" | "file_size" | "size",
    }
}
