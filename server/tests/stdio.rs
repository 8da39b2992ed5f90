//! A client on the stdin and stdout of a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sapwood-echo"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "stdout ended");
        serde_json::from_str(&line).unwrap()
    }

    fn initialize(&mut self) {
        self.send(r#"{"id":"init","method":"initialize","params":{"clientInfo":{"name":"raw","version":"1"}}}"#);
        let answer = self.next();
        assert_eq!(answer["id"], "init");
        let agent = answer["result"]["userAgent"].as_str().unwrap();
        assert!(agent.starts_with("raw/0.169.0 (Linux "), "{agent}");
        assert!(agent.ends_with(") sapwood/1.2.3 (raw; 1)"), "{agent}");
        assert_eq!(self.next()["method"], "configWarning");
    }

    fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

#[test]
fn the_end_of_stdin_ends_the_server_after_its_answers() {
    let mut program = Program::start();
    program.initialize();
    for id in 0..500 {
        program.send(&format!(r#"{{"id":{id},"method":"echo","params":{{"n":{id}}}}}"#));
    }
    drop(program.stdin.take());
    for id in 0..500 {
        assert_eq!(program.next(), json!({"id": id, "result": {"n": id}}));
    }
    assert_eq!(program.end(), (Some(0), "stdin_closed 0 false\n".to_owned()));
}

#[test]
fn a_line_that_is_too_long_is_passed_over_and_answered_by_its_id() {
    let mut program = Program::start();
    program.initialize();
    let long = "x".repeat(sapwood_server::rpc::FRAME_BYTES);
    program.send(&format!(r#"{{"id":"long","method":"echo","params":"{long}"}}"#));
    program.send(&format!(r#"{{"method":"echo","params":"{long}","id":2}}"#));
    program.send(r#"{"id":3,"method":"echo","params":{}}"#);
    let why = "Invalid request: the message is longer than 16777216 bytes";
    assert_eq!(program.next(), json!({"error": {"code": -32600, "message": why}, "id": "long"}));
    assert_eq!(program.next(), json!({"id": 3, "result": {}}));
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_signal() {
    let mut program = Program::start();
    program.initialize();
    // More than a pipe takes.
    program.send(r#"{"id":1,"method":"flood","params":{"count":400,"bytes":1000}}"#);
    program.send(r#"{"id":2,"method":"wait","params":{}}"#);
    let pid = rustix::process::Pid::from_child(&program.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut stderr = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "sigterm 0 false\n");
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}
