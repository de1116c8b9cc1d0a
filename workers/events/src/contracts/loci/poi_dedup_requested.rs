//! `poi.dedup.requested`: a place may be one that is known already.
//!
//! Published by ingestion jobs. Not here: which of them are one. Invariant: the request has a name.
//!
//! Loci's page leaves the fields open; the request is named as in [`super::poi_embedding_requested`].

use crate::field::List;
use crate::text::IdText;

crate::contract! {
    /// A place may be one that is known already.
    pub struct PoiDedupRequested<'a> = Loci "poi.dedup.requested" {
        /// The request: named by itself, else by its job or its place.
        required request: IdText<'a> = "request_id" | "job_id" | "poi_id",
        /// The place in question.
        optional poi: IdText<'a> = "poi_id",
        /// The places that it may be.
        optional candidates: List<IdText<'a>> = "candidates/*" | "candidates/*/poi_id" | "candidate_ids/*",
    }
}
