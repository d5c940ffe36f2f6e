//! The program from the outside: what it prints, what it writes, and how it ends.

mod answers;
mod checkpoint;
mod completions;
mod embeddings;
mod files;
mod fm;
mod formats;
mod program;
mod rows;
mod train;
