//! SIP as a sans-IO endpoint: messages, transactions, dialogs, offers and answers, digest.
