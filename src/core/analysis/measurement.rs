//! The result of one measurement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::ErrorClass;

/// One evaluation of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// The value meets the criterion.
    Pass,
    /// The value misses the criterion.
    Fail,
    /// The source answered without a value to compare.
    Inconclusive(Why),
    /// The source gave no usable answer.
    Error(ErrorClass),
}

/// Why a measurement is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// No series, or NaN.
    NoData,
    /// Plus or minus infinity.
    NonFinite,
    /// Fewer requests than required.
    TooFew,
}
