//! The compiler's answers to right and wrong uses of the attributes; see README.md.
