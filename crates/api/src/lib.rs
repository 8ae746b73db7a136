//! REST resources, sign-in, OpenAPI, live streams, and the console's files.
