//! The messages of Envoy's `envoy.service.ext_proc.v3.ExternalProcessor`, as far as they are used here: names and field numbers are the
//! protocol's, everything else of it is skipped by the decoder. Data only.

use bytes::Bytes;

/// `FULL_DUPLEX_STREAMED`: the body's pieces go both ways, each side at its own pace.
pub const FULL_DUPLEX_STREAMED: i32 = 4;

/// `OVERWRITE_IF_EXISTS_OR_ADD`.
pub const OVERWRITE: i32 = 2;

/// `APPEND_IF_EXISTS_OR_ADD`.
pub const APPEND: i32 = 0;

/// From Envoy.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessingRequest {
    /// Envoy waits for no answer.
    #[prost(bool, tag = "10")]
    pub observability_mode: bool,
    /// How Envoy is set up; with the first message.
    #[prost(message, optional, tag = "11")]
    pub protocol_config: Option<ProtocolConfiguration>,
    /// What has come.
    #[prost(oneof = "Came", tags = "2, 3, 4, 5, 6, 7")]
    pub request: Option<Came>,
}

/// What has come.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Came {
    /// The request's head.
    #[prost(message, tag = "2")]
    RequestHeaders(HttpHeaders),
    /// The answer's head.
    #[prost(message, tag = "3")]
    ResponseHeaders(HttpHeaders),
    /// A piece of the request's body.
    #[prost(message, tag = "4")]
    RequestBody(HttpBody),
    /// A piece of the answer's body.
    #[prost(message, tag = "5")]
    ResponseBody(HttpBody),
    /// The request's trailers.
    #[prost(message, tag = "6")]
    RequestTrailers(HttpTrailers),
    /// The answer's trailers.
    #[prost(message, tag = "7")]
    ResponseTrailers(HttpTrailers),
}

/// How Envoy is set up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProtocolConfiguration {
    /// `request_body_mode`.
    #[prost(int32, tag = "1")]
    pub request_body_mode: i32,
    /// `response_body_mode`.
    #[prost(int32, tag = "2")]
    pub response_body_mode: i32,
}

/// A head.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpHeaders {
    /// Its fields, pseudo headers among them.
    #[prost(message, optional, tag = "1")]
    pub headers: Option<HeaderMap>,
    /// No body follows.
    #[prost(bool, tag = "3")]
    pub end_of_stream: bool,
}

/// A piece of a body.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpBody {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// It is the last, and no trailers follow.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
}

/// Trailers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpTrailers {
    /// Their fields.
    #[prost(message, optional, tag = "1")]
    pub trailers: Option<HeaderMap>,
}

/// Header fields.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderMap {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<HeaderValue>,
}

/// A header field. Envoy fills `raw_value`; `value` is what older ones fill.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value as text.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Its value as bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub raw_value: Bytes,
}

/// To Envoy.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessingResponse {
    /// What is to be done.
    #[prost(oneof = "Do", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub response: Option<Do>,
}

/// What is to be done.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Do {
    /// Send the request's head on.
    #[prost(message, tag = "1")]
    RequestHeaders(HeadersResponse),
    /// Send the answer's head on.
    #[prost(message, tag = "2")]
    ResponseHeaders(HeadersResponse),
    /// Send this piece of the request's body on.
    #[prost(message, tag = "3")]
    RequestBody(BodyResponse),
    /// Send this piece of the answer's body on.
    #[prost(message, tag = "4")]
    ResponseBody(BodyResponse),
    /// Send the request's trailers on.
    #[prost(message, tag = "5")]
    RequestTrailers(TrailersResponse),
    /// Send the answer's trailers on.
    #[prost(message, tag = "6")]
    ResponseTrailers(TrailersResponse),
    /// Answer with this.
    #[prost(message, tag = "7")]
    Immediate(ImmediateResponse),
}

/// For a head.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadersResponse {
    /// What to do with it.
    #[prost(message, optional, tag = "1")]
    pub response: Option<CommonResponse>,
}

/// For a body.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BodyResponse {
    /// What to do with it.
    #[prost(message, optional, tag = "1")]
    pub response: Option<CommonResponse>,
}

/// For a head or a body. Its status is CONTINUE, which is 0.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommonResponse {
    /// Changes of the head.
    #[prost(message, optional, tag = "2")]
    pub header_mutation: Option<HeaderMutation>,
    /// What leaves of the body.
    #[prost(message, optional, tag = "3")]
    pub body_mutation: Option<BodyMutation>,
}

/// For trailers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrailersResponse {
    /// Changes of them.
    #[prost(message, optional, tag = "1")]
    pub header_mutation: Option<HeaderMutation>,
}

/// Changes of a head.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderMutation {
    /// Fields that are set.
    #[prost(message, repeated, tag = "1")]
    pub set_headers: Vec<HeaderValueOption>,
    /// Fields that go.
    #[prost(string, repeated, tag = "2")]
    pub remove_headers: Vec<String>,
}

/// A field that is set.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValueOption {
    /// The field.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// [`OVERWRITE`] or [`APPEND`].
    #[prost(int32, tag = "3")]
    pub append_action: i32,
}

/// What leaves of a body.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BodyMutation {
    /// A piece, in [`FULL_DUPLEX_STREAMED`].
    #[prost(message, optional, tag = "3")]
    pub streamed_response: Option<StreamedBodyResponse>,
}

/// A piece of a body that leaves.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamedBodyResponse {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// It is the last, and no trailers follow.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
}

/// An answer in place of the upstream's.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImmediateResponse {
    /// Its status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Its headers.
    #[prost(message, optional, tag = "2")]
    pub headers: Option<HeaderMutation>,
    /// Its body.
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    /// A word for Envoy's own log.
    #[prost(string, tag = "5")]
    pub details: String,
}

/// A status.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpStatus {
    /// Its code.
    #[prost(int32, tag = "1")]
    pub code: i32,
}
