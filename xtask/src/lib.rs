//! Developer tasks, and the servers that tests start.
