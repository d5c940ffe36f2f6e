//! Ctrl-C while something can still be saved.

use std::process;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::output::complain;

/// What a program that was interrupted exits with: 128 and the number of the signal.
pub(crate) const EXIT_CODE: u8 = 130;

/// Nothing is to be saved: the program ends at once.
const IDLE: u8 = 0;
/// Somebody listens.
const LISTENING: u8 = 1;
/// They have been asked to stop. Asked again, the program ends at once.
const ASKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// While this lives, the first Ctrl-C is a request.
#[derive(Debug)]
pub(crate) struct Listening(());

impl Listening {
    /// Listens from now on. Where the system lets nobody listen, Ctrl-C does what it always does.
    pub(crate) fn new() -> Listening {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            let handler = || {
                if STATE.compare_exchange(LISTENING, ASKED, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                    process::exit(EXIT_CODE.into());
                }
                complain("\nstopping; Ctrl-C again ends at once");
            };
            if let Err(error) = ctrlc::set_handler(handler) {
                complain(&format!("warning: Ctrl-C will end the program at once: {error}"));
            }
        });
        STATE.store(LISTENING, Ordering::Relaxed);
        Listening(())
    }

    /// Whether there was a Ctrl-C.
    pub(crate) fn asked() -> bool {
        STATE.load(Ordering::Relaxed) == ASKED
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        STATE.store(IDLE, Ordering::Relaxed);
    }
}
