//! One exchange from request to answer: recognise, read once, ask the upstream up to a few times, and commit to what may leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
    TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_service::Service;
use xxhash_rust::xxh3::xxh3_64;

use super::body::{BoxError, Erased, GuardedBody, ReplayBody, erase};
use super::circuit::Way;
use super::events::{Passage, RetryOutcome, Subject};
use super::follow::Follow;
use super::live::{Live, Scoring, scoring_context};
use super::outcome::{self, Failure};
use super::report::Report;
use super::retry::Gate;
use super::signature::Signature;
use super::snapshot::Snapshot;
use super::steer::steer;
use super::{RequestId, Target};
use crate::decode::Encoding;
use crate::dialect::{Amendment, Dialect, DialectError, Exchange, Facts, Recognised, RequestHead};
use crate::infer;
use crate::inspect::{Inspector, Plan, RetryGate};
use crate::policy::{Detour, Fallback, Measures, Mode, Retry, SessionFacts};
use crate::text::Str;
use crate::verdict::{Action, Cause, Unscored, Verdict};

/// Numbers streams, for fairness in the classifier's queue.
static STREAMS: AtomicU64 = AtomicU64::new(1);

/// What stays the same over the attempts.
struct Conduct {
    snapshot: Arc<Snapshot>,
    dialect: Arc<dyn Dialect>,
    exchange: Arc<Exchange>,
    context: Arc<infer::Context>,
    session: SessionFacts,
    stream: u64,
    until: Instant,
    method: Method,
    /// The client's signature, which covers the body and the host.
    signature: Option<Signature>,
    /// What is done about the conversation, which drifts.
    measures: Measures,
    /// It goes to the route's first fallback upstream.
    spare: bool,
}

/// Runs one exchange.
pub(super) async fn run<S, ReqB, ResB>(
    inner: S,
    snapshot: Arc<Snapshot>,
    request: Request<ReqB>,
    request_id: Option<Str>,
) -> Result<Response<GuardedBody>, S::Error>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    ReqB: Body + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let mut report = Box::new(Report::new(snapshot.observe.clone(), subject(&snapshot, &head, request_id)));
    let seen = RequestHead { method: &head.method, path: head.uri.path(), query: head.uri.query(), headers: &head.headers };
    let found = match snapshot.api {
        Some(api) => snapshot.dialects.recognise_as(api, &seen),
        None => snapshot.dialects.recognise(&seen),
    };
    let bodiless = matches!(head.method, Method::HEAD | Method::OPTIONS);
    let (dialect, recognised) = match found {
        Some((dialect, recognised)) => (dialect.clone(), recognised),
        None => return unknown(inner, &snapshot, head, erase(body), report, bodiless).await,
    };
    report.subject_mut().api = Some(dialect.api());
    if recognised == Recognised::Textless || bodiless {
        return pass(inner, head, ReplayBody::stream(erase(body)), Some(&*dialect), report).await;
    }
    // A place of its own: what is only passed on need not move the room that judging takes.
    Box::pin(judged(inner, snapshot, dialect, head, body, report)).await
}

/// Runs an exchange whose answer is judged.
async fn judged<S, ReqB, ResB>(
    mut inner: S,
    snapshot: Arc<Snapshot>,
    dialect: Arc<dyn Dialect>,
    mut head: request::Parts,
    body: ReqB,
    mut report: Box<Report>,
) -> Result<Response<GuardedBody>, S::Error>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    ReqB: Body + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let limit = snapshot.limits.request_body;
    // What says itself that it is too large is refused before any of it is asked for.
    let read = if body.size_hint().lower() > limit as u64 { None } else { Some(Limited::new(body, limit).collect().await) };
    let whole = match read {
        Some(Ok(body)) => Ok(body.to_bytes()),
        Some(Err(error)) if !error.is::<LengthLimitError>() => Err(match Failure::find(&*error) {
            Some(failure) => failure.reply(Some(&*dialect), report.request_id()),
            None => {
                let message = "the request body ended early";
                outcome::error(Some(&*dialect), StatusCode::BAD_REQUEST, "request_incomplete", message, report.request_id())
            }
        }),
        _ => {
            let message = format!("the request body is over {limit} bytes (limits.request_body)");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(outcome::error(Some(&*dialect), status, "request_too_large", &message, report.request_id()))
        }
    };
    let body = match whole {
        Ok(body) => body,
        Err(reply) => return Ok(outcome::own(reply, report)),
    };
    // A request that cannot be read is the upstream's to refuse; its answer is judged all the same.
    let seen = RequestHead { method: &head.method, path: head.uri.path(), query: head.uri.query(), headers: &head.headers };
    let exchange = Arc::new(dialect.read_request(&seen, &body).unwrap_or_else(|_| Exchange::unknown(dialect.api())));
    let subject = report.subject_mut();
    subject.model = exchange.model.clone();
    subject.prompt = exchange.system.as_deref().map(|system| xxh3_64(system.as_bytes()));
    let request_id = Str::from(report.request_id());
    let follow = Follow::begin(&snapshot, &head, &body, &exchange, &request_id).await;
    let session = follow.as_ref().map_or_else(
        || SessionFacts { limit: snapshot.drift_limit, ..SessionFacts::default() },
        |follow| follow.facts(snapshot.drift_limit),
    );
    let kept = follow.as_ref().map_or(Measures::NONE, Follow::measures);
    if let Some(follow) = follow {
        report.follow(follow, session);
    }

    let signature = Signature::of(&head.headers, head.uri.query()).filter(|_| !snapshot.own_credential);
    let mut body = body;
    let steered = steer(&snapshot, &*dialect, &exchange, &session, kept, signature.is_some(), &mut body);
    let measures = steered.as_ref().map_or(Measures::NONE, |steered| steered.taken);
    let mut spare = measures.fallback;
    // A conversation that is moved to another upstream or model says nothing of this one.
    let moved = measures.fallback || measures.model;
    if let Some(circuit) = snapshot.circuit.as_ref().filter(|_| !moved) {
        let way = circuit.enter(Instant::now());
        report.passes(Passage { circuit: circuit.clone(), way });
        let away = way == Way::Away && snapshot.policy.mode == Mode::Enforce;
        // Where nothing else can be asked (a gateway that carries the traffic itself asks its own upstream), it is withheld.
        let nowhere = signature.is_some() || snapshot.limits.fallbacks == 0;
        if away && (circuit.spec().then == Detour::Block || nowhere) {
            report.decide(Verdict {
                action: Action::Block,
                cause: Cause::Circuit,
                rule: Some("circuit".into()),
                ..Verdict::allow()
            });
            let facts = Facts::default();
            let id = report.request_id();
            let reply = outcome::refusal(&*dialect, &snapshot.policy, &exchange, &facts, exchange.stream, id);
            return Ok(outcome::own(reply, report));
        }
        spare = away;
    }
    if spare || moved {
        report.goes_elsewhere();
    }
    report.steered(steered);
    // The answer must be readable; a compressed one that comes all the same is decoded as a whole.
    if !signature.as_ref().is_some_and(|signature| signature.covers(&ACCEPT_ENCODING)) {
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    // Half an answer could not be read, and the client can put halves together.
    head.headers.remove(RANGE);
    head.headers.remove(IF_RANGE);
    let persona = snapshot.persona.as_ref().map(|persona| &persona.line);
    let context = Arc::new(scoring_context(persona, exchange.system.as_ref(), exchange.user.as_ref()));
    let conduct = Conduct {
        dialect,
        exchange,
        context,
        session,
        stream: STREAMS.fetch_add(1, Ordering::Relaxed),
        until: Instant::now() + snapshot.limits.retry_deadline,
        method: head.method.clone(),
        signature,
        measures,
        spare,
        snapshot,
    };
    conduct.snapshot.budget.deposit();
    conduct.attempts(&mut inner, head, body, report).await
}

fn subject(snapshot: &Snapshot, head: &request::Parts, request_id: Option<Str>) -> Subject {
    let request_id = request_id.or_else(|| head.extensions.get::<RequestId>().map(|id| id.0.clone()));
    let request_id = request_id.unwrap_or_else(|| Str::from(ulid::Ulid::new().to_string()));
    Subject {
        request_id,
        path: head.uri.path().into(),
        route: snapshot.route.clone(),
        policy: snapshot.policy.name.clone(),
        mode: snapshot.policy.mode,
        persona: snapshot.persona.as_ref().map(|persona| persona.name.clone()),
        api: None,
        model: None,
        prompt: None,
        session: None,
        traceparent: head.headers.get("traceparent").and_then(|value| value.to_str().ok()).map(Str::from),
    }
}

/// Traffic in no known api: as the policy says.
async fn unknown<S, ResB>(
    inner: S,
    snapshot: &Snapshot,
    head: request::Parts,
    body: Erased,
    mut report: Box<Report>,
    bodiless: bool,
) -> Result<Response<GuardedBody>, S::Error>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    if !bodiless {
        report.unscored(Unscored::UnknownApi);
    }
    if snapshot.policy.on_unknown == Fallback::Block && snapshot.policy.mode == Mode::Enforce && !bodiless {
        let message =
            "this endpoint is in no wire format that can be judged, and the policy blocks what it cannot judge (on_unknown)";
        let reply = outcome::error(None, StatusCode::FORBIDDEN, "unknown_api", message, report.request_id());
        let verdict = Verdict {
            action: Action::Block,
            cause: Cause::Unscored(Unscored::UnknownApi),
            rule: Some("on_unknown".into()),
            ..Verdict::allow()
        };
        report.decide(verdict);
        return Ok(outcome::own(reply, report));
    }
    pass(inner, head, ReplayBody::stream(body), None, report).await
}

/// Sends a request on and its answer back, untouched.
async fn pass<S, ResB>(
    mut inner: S,
    head: request::Parts,
    body: ReplayBody,
    dialect: Option<&dyn Dialect>,
    mut report: Box<Report>,
) -> Result<Response<GuardedBody>, S::Error>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    report.called_upstream();
    let response = inner.call(Request::from_parts(head, body)).await?;
    Ok(untouched(response, dialect, report))
}

/// An answer that is not judged: an error status, an endpoint without text.
fn untouched<ResB>(response: Response<ResB>, dialect: Option<&dyn Dialect>, mut report: Box<Report>) -> Response<GuardedBody>
where
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    if let Some(failure) = response.extensions().get::<Failure>() {
        let reply = outcome::error(dialect, failure.status, failure.code, &failure.message, report.request_id());
        return outcome::own(reply, report);
    }
    let (mut parts, body) = response.into_parts();
    report.set_status(parts.status);
    report.decorate_untouched(&mut parts.headers);
    Response::from_parts(parts, GuardedBody::pass(erase(body), report))
}

impl Conduct {
    async fn attempts<S, ResB>(
        &self,
        inner: &mut S,
        head: request::Parts,
        body: Bytes,
        mut report: Box<Report>,
    ) -> Result<Response<GuardedBody>, S::Error>
    where
        S: Service<Request<ReplayBody>, Response = Response<ResB>>,
        ResB: Body<Data = Bytes> + Send + 'static,
        ResB::Error: Into<BoxError>,
    {
        let mut target = Target { fallback: self.spare.then_some(0), ..Target::default() };
        let mut body = body;
        loop {
            if target.attempt > 1 {
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
            }
            report.called_upstream();
            let request = Request::from_parts(self.head(&head, &body, target), ReplayBody::bytes(body.clone()));
            let response = inner.call(request).await?;
            if !response.status().is_success() || response.extensions().get::<Failure>().is_some() {
                return Ok(untouched(response, Some(&*self.dialect), report));
            }
            let gate =
                Arc::new(Gate::new(self.snapshot.budget.clone(), target.attempt, self.until, self.snapshot.limits.repeatable));
            let (parts, upstream) = response.into_parts();
            let mut live = Box::new(self.live(&parts.headers, erase(upstream), gate.clone()));
            let primed = live.prime(&mut report).await;
            if let Some(said) = gate.said() {
                report.retry(said);
            }
            if let Err(error) = primed {
                return Ok(self.broken(&*error, report));
            }
            let verdict = live.verdict().filter(|_| live.was_cut() && !live.inspector.committed()).cloned();
            match verdict {
                Some(verdict) if verdict.action == Action::Retry => {
                    let changed = self.amend(&verdict, &mut body, &mut target, &mut report);
                    report.retried(&live, verdict, changed);
                    target.attempt += 1;
                }
                Some(verdict) => {
                    report.judged(&live.inspector, &verdict);
                    let stream = self.exchange.stream || live.inspector.streamed().unwrap_or_default();
                    let facts = live.inspector.facts();
                    let policy = &self.snapshot.policy;
                    report.record_withheld((policy.block.status == 200).then_some(&*policy.block.message)).await;
                    let reply = outcome::refusal(&*self.dialect, policy, &self.exchange, facts, stream, report.request_id());
                    return Ok(outcome::own(reply, report));
                }
                None => {
                    report.committed(gate);
                    return Ok(commit(parts, live, report));
                }
            }
        }
    }

    /// The head of one attempt.
    fn head(&self, head: &request::Parts, body: &Bytes, target: Target) -> request::Parts {
        let mut head = head.clone();
        if target != Target::default() {
            head.extensions.insert(target);
        }
        head.headers.remove(TRANSFER_ENCODING);
        if !body.is_empty() || head.headers.contains_key(CONTENT_LENGTH) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if target.attempt > 1 {
            // With the same key the provider would repeat the answer that is not wanted.
            for name in ["idempotency-key", "x-idempotency-key"].map(HeaderName::from_static) {
                if !self.signature.as_ref().is_some_and(|signature| signature.covers(&name)) {
                    head.headers.remove(name);
                }
            }
        }
        head
    }

    fn live(&self, headers: &HeaderMap, upstream: Erased, gate: Arc<Gate>) -> Live {
        let snapshot = &self.snapshot;
        let encoding = Encoding::from_headers(headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes));
        let shadow = snapshot.policy.mode == Mode::Shadow;
        let gate: Arc<dyn RetryGate> = gate;
        let inspector = Inspector::new(Plan {
            dialect: self.dialect.clone(),
            exchange: self.exchange.clone(),
            policy: snapshot.policy.clone(),
            detectors: snapshot.detectors.clone(),
            session: self.session,
            scored: snapshot.scorer.is_some(),
            gate: Some(gate),
            content_type: label(headers),
            whole: encoding.is_some() || self.measures.buffer,
            watch: false,
            held_limit: snapshot.limits.held,
        });
        let scoring = snapshot.scorer.clone().map(|scorer| Scoring {
            scorer,
            context: self.context.clone(),
            stream: self.stream,
            deadline: snapshot.policy.deadline,
        });
        let live = Live::new(upstream, inspector, scoring);
        match encoding {
            Some(encoding) => live.encoded(encoding, snapshot.limits.held, shadow),
            None => live,
        }
    }

    /// Changes the request for the next attempt as the rule says; returns what was changed, in words. One that the client signed can
    /// only be sent again as it is, and to nobody else.
    fn amend(&self, verdict: &Verdict, body: &mut Bytes, target: &mut Target, report: &mut Report) -> String {
        let Cause::Rule(rule) = verdict.cause else { return String::new() };
        let Some(retry) = self.snapshot.policy.rules.get(rule).and_then(|rule| rule.retry.as_ref()) else { return String::new() };
        let Retry { reanchor, temperature, fallback, .. } = retry;
        let mut changed = Vec::new();
        if *fallback && self.snapshot.limits.fallbacks > 0 && self.signature.is_none() {
            let next = target.fallback.map_or(0, |index| (index + 1).min(self.snapshot.limits.fallbacks - 1));
            target.fallback = Some(next);
            changed.push(format!("fallback upstream {}", next + 1));
        }
        let reminder = self.snapshot.persona.as_ref().and_then(|persona| persona.reminder.clone()).filter(|_| *reanchor);
        // One at a time: a format that has no place for the one may have it for the other. A second re-anchoring would only repeat itself.
        let reminder = reminder.filter(|_| target.attempt == 1 && !self.measures.remind);
        let wishes = [
            (
                Amendment { reminder: reminder.as_deref(), ..Amendment::default() },
                reminder.as_deref().map(|text| format!("reminder added: {text}")),
            ),
            (
                Amendment { temperature: *temperature, ..Amendment::default() },
                temperature.map(|value| format!("temperature {value}")),
            ),
        ];
        for (amendment, words) in wishes {
            let Some(words) = words else { continue };
            let amended = match self.signature {
                Some(_) => Err(DialectError::Unsupported("a signed request")),
                None => self.dialect.amend(body, &amendment),
            };
            match amended {
                Ok(amended) => {
                    *body = amended.into();
                    changed.push(words);
                }
                Err(error) => {
                    report.retry(RetryOutcome::Unsupported);
                    tracing::warn!(request_id = %report.request_id(), %error, "the request could not be amended for a retry");
                }
            }
        }
        if changed.is_empty() { "nothing: the same request again".to_owned() } else { changed.join("; ") }
    }

    /// The upstream broke off before anything left.
    fn broken(&self, error: &(dyn std::error::Error + Send + Sync + 'static), report: Box<Report>) -> Response<GuardedBody> {
        tracing::warn!(request_id = %report.request_id(), method = %self.method, %error, "the upstream broke off its answer");
        if let Some(failure) = Failure::find(error) {
            return outcome::own(failure.reply(Some(&*self.dialect), report.request_id()), report);
        }
        let message = "the upstream ended its answer early";
        let reply =
            outcome::error(Some(&*self.dialect), StatusCode::BAD_GATEWAY, "upstream_incomplete", message, report.request_id());
        outcome::own(reply, report)
    }
}

/// What the answer says that it is, all lines of it.
fn label(headers: &HeaderMap) -> Option<Str> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?;
    Some(Str::from(lines.fold(first, |all, line| format!("{all}, {line}").into())))
}

/// The first bytes may leave: the head goes out.
fn commit(mut parts: http::response::Parts, live: Box<Live>, mut report: Box<Report>) -> Response<GuardedBody> {
    report.set_status(parts.status);
    if let Some(verdict) = live.verdict().cloned() {
        report.judged(&live.inspector, &verdict);
        if report.recovered() {
            report.retry(RetryOutcome::Recovered);
        }
    }
    // What leaves because it cannot be judged is no stream of verdicts: none will follow, and the head says what is known.
    let blind = live.verdict().is_none() && live.inspector.blind();
    if blind {
        let so_far = live.inspector.verdict().clone();
        report.judged(&live.inspector, &so_far);
    }
    // A stream that leaves window by window says so even where it was short enough to be judged whole, unless there is more to say.
    let more_to_say = !live.was_cut() && live.verdict().is_some_and(|verdict| verdict.action != Action::Allow);
    if live.verdict().is_none() && !blind || live.inspector.held_by_window() && !more_to_say {
        // The stream may yet be cut, and then it is shorter.
        parts.headers.remove(CONTENT_LENGTH);
        report.decorate_streaming(&mut parts.headers);
    } else {
        report.decorate(&mut parts.headers);
    }
    Response::from_parts(parts, GuardedBody::live(live, report))
}
