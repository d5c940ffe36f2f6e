//! Scripts for shells.

use crate::program::{fail, hotrow, succeed};

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let help = succeed(dir.path(), "help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"train") && commands.contains(&"completions"), "{help}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(dir.path(), &format!("completions {shell}"));
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert!(fail(dir.path(), "completions tcsh", 2).contains("bash"));
}

/// What bash makes of the script, where there is a bash.
#[test]
fn bash_accepts_its_script() {
    let dir = tempfile::tempdir().unwrap();
    let script = hotrow(dir.path(), "completions bash").stdout;
    let path = dir.path().join("hotrow.bash");
    std::fs::write(&path, script).unwrap();
    let Ok(status) = std::process::Command::new("bash").arg("-n").arg(&path).status() else {
        println!("skipped: there is no bash");
        return;
    };
    assert!(status.success());
}
