//! The shapes of Responses answers: what is read of a response, an output item, a content part and a stream's event. Every field may be
//! missing and of any type; what must be text is checked where it is read.

use crate::dialect::json::members;

members! {
    pub(super) struct Response {
        id: "id",
        model: "model",
        created_at: "created_at",
        status: "status",
        incomplete_details: "incomplete_details",
        error: "error",
        output: "output",
        output_text: "output_text",
        /// What an answer was given, as a list: earlier answers are among it.
        data: "data",
        usage: "usage",
    }

    pub(super) struct Incomplete {
        reason: "reason",
    }

    pub(super) struct Usage {
        input_tokens: "input_tokens",
        output_tokens: "output_tokens",
    }

    pub(super) struct Item {
        kind: "type",
        id: "id",
        name: "name",
        role: "role",
        content: "content",
        summary: "summary",
        arguments: "arguments",
        input: "input",
        code: "code",
        action: "action",
        actions: "actions",
        operation: "operation",
        queries: "queries",
        revised_prompt: "revised_prompt",
    }

    pub(super) struct Part {
        kind: "type",
        text: "text",
        refusal: "refusal",
        transcript: "transcript",
    }

    /// `action` of a shell call, `operation` of a patch.
    pub(super) struct Work {
        commands: "commands",
        diff: "diff",
        path: "path",
    }

    pub(super) struct StreamEvent {
        kind: "type",
        sequence_number: "sequence_number",
        output_index: "output_index",
        content_index: "content_index",
        summary_index: "summary_index",
        command_index: "command_index",
        item_id: "item_id",
        delta: "delta",
        text: "text",
        refusal: "refusal",
        transcript: "transcript",
        arguments: "arguments",
        input: "input",
        code: "code",
        diff: "diff",
        command: "command",
        part: "part",
        item: "item",
        response: "response",
        error: "error",
    }
}
