//! What the numbers were measured on.

use std::fmt;
use std::fs;

use hotrow::Level;

/// The machine, as far as it tells. What it does not tell is left out of the printed lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) cpu: String,
    /// The cores that this process may use.
    pub(super) cores: usize,
    /// The best SIMD level.
    pub(super) level: Level,
    /// The setting of transparent huge pages.
    pub(super) huge_pages: Option<String>,
    /// The operating system and its kernel.
    pub(super) os: String,
    /// The compiler of this program.
    pub(super) rustc: Option<&'static str>,
    /// How many processes were running or ready to run in the last minute, on average, before anything was measured.
    pub(super) load: Option<f64>,
}

impl Machine {
    /// Asks the machine that this runs on.
    pub(super) fn detect() -> Machine {
        let read = |path| fs::read_to_string(path).ok();
        let name = read("/proc/cpuinfo").and_then(|text| cpu_model(&text));
        let system = read("/etc/os-release").and_then(|text| os_name(&text));
        let kernel = read("/proc/sys/kernel/osrelease").map(|text| format!(" ({})", text.trim()));
        Machine {
            cpu: name.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            level: Level::best(),
            huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen_word(&text)),
            os: system.unwrap_or_else(|| std::env::consts::OS.to_owned()) + &kernel.unwrap_or_default(),
            rustc: option_env!("HOTROW_RUSTC_VERSION"),
            load: read("/proc/loadavg").and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }
}

/// The memory that can be had without swapping, in bytes, where the system says.
pub(super) fn available_memory() -> Option<u64> {
    available_in(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn os_name(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// The word in square brackets: `always [madvise] never` has chosen `madvise`.
fn chosen_word(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        write!(f, "machine: {}, {} {cores}, SIMD level {}", self.cpu, self.cores, self.level)?;
        write!(f, ", huge pages {}", self.huge_pages.as_deref().unwrap_or("unknown"))?;
        write!(f, "; {}", self.os)?;
        if let Some(rustc) = self.rustc {
            write!(f, "; {rustc}")?;
        }
        if let Some(load) = self.load {
            write!(f, "; load {load:.2} at the start")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_understood() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) Processor\nmodel\t: 143\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("Intel(R) Xeon(R) Processor"));
        assert_eq!(cpu_model("processor : 0\n"), None);
        assert_eq!(os_name("ID=x\nPRETTY_NAME=\"An OS 12\"\n").as_deref(), Some("An OS 12"));
        assert_eq!(chosen_word("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen_word("always"), None);
        assert_eq!(available_in("MemTotal: 9 kB\nMemAvailable:   24 kB\n"), Some(24 * 1024));
        assert_eq!(available_in("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn unknown_facts_are_left_out() {
        let machine = Machine {
            cpu: "aarch64".to_owned(),
            cores: 1,
            level: Level::Portable,
            huge_pages: None,
            os: "macos".to_owned(),
            rustc: None,
            load: None,
        };
        assert_eq!(machine.to_string(), "machine: aarch64, 1 core, SIMD level portable, huge pages unknown; macos");
    }
}
