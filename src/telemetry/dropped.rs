//! Why something that was to be kept or delivered was not, as metrics say it.

/// Why an incident was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// The queue to the store was full.
    QueueFull,
    /// The store could not be written.
    WriteFailed,
    /// The store was closed: the program is shutting down.
    Closed,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Dropped; 3] = [Dropped::QueueFull, Dropped::WriteFailed, Dropped::Closed];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dropped::QueueFull => "queue_full",
            Dropped::WriteFailed => "write_failed",
            Dropped::Closed => "closed",
        }
    }
}

/// Why a span was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanDropped {
    /// The queue to the exporter was full.
    QueueFull,
    /// The receiver was away, too slow, or refused it.
    ExportFailed,
    /// The program was shutting down.
    Closed,
}

impl SpanDropped {
    /// Every reason.
    pub const ALL: [SpanDropped; 3] = [SpanDropped::QueueFull, SpanDropped::ExportFailed, SpanDropped::Closed];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SpanDropped::QueueFull => "queue_full",
            SpanDropped::ExportFailed => "export_failed",
            SpanDropped::Closed => "closed",
        }
    }
}
