// The contract of the TypeScript SDK, driven by the SDK itself.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Codex } from '@openai/codex-sdk';

import { script, serve } from './responses.mjs';

const program = process.env.SDK_PROGRAM ?? fileURLToPath(new URL('../../../target/debug/sapwood', import.meta.url));
const isSapwood = program.endsWith('sapwood');
const isScripted = process.env.SDK_MODEL === 'scripted';

let home, work, server;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'sapwood-sdk-'));
  work = join(home, 'work');
  await mkdir(work);
  server = await serve();
  await writeFile(join(home, 'script.json'), JSON.stringify(script()));
  const scripted = `model_provider = "scripted"\n[sapwood]\nscript = ${JSON.stringify(join(home, 'script.json'))}\n`;
  const http = `model = "gpt-5.5"
model_provider = "loopback"
[analytics]
enabled = false
[features]
shell_snapshot = false
plugins = false
apps = false
memories = false
[model_providers.loopback]
name = "loopback"
base_url = ${JSON.stringify(server.url)}
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 0
`;
  await writeFile(join(home, 'config.toml'), isScripted ? scripted : http);
});

after(async () => {
  await server.close();
  await rm(home, { recursive: true, force: true });
});

// As the SDK's environment replaces ours, nothing of the person who runs this is seen.
const env = () => ({ PATH: process.env.PATH, HOME: home, CODEX_HOME: home, TZ: 'UTC' });
const codex = () => new Codex({ codexPathOverride: program, env: env() });
const options = (more) => ({ workingDirectory: work, sandboxMode: 'read-only', skipGitRepoCheck: true, ...more });

// Returns when no process holds the thread. The SDK stops reading at `turn.failed`, and after an abort, without waiting
// for the end of the process.
async function released(thread) {
  if (!isSapwood) return;
  for (;;) {
    const { stdout } = await promisify(execFile)(program, ['ps', '--json'], { env: env() });
    const agent = JSON.parse(stdout).agents.find((agent) => agent.thread_id === thread);
    if (!agent?.pid) return;
  }
}

test('two turns on one thread', async () => {
  const thread = codex().startThread(options({ threadSource: 'sdk_test', approvalPolicy: 'never' }));
  const first = await thread.run('hello');
  const id = thread.id;
  assert.equal(first.finalResponse, 'done');
  assert.deepEqual(first.usage, { input_tokens: 100, cached_input_tokens: 20, cache_write_input_tokens: 0,
    output_tokens: 30, reasoning_output_tokens: 5 });
  const second = await thread.run('and again');
  assert.equal(second.finalResponse, 'done');
  assert.equal(second.usage.input_tokens, 200);
  assert.equal(thread.id, id);
});

test('a thread is resumed by its id', async () => {
  const thread = codex().startThread(options());
  await thread.run('hello');
  const resumed = codex().resumeThread(thread.id, options());
  const events = [];
  for await (const event of (await resumed.runStreamed('more')).events) events.push(event);
  assert.deepEqual(events[0], { type: 'thread.started', thread_id: thread.id });
  const kinds = events.map((event) => event.type).filter((kind) => !kind.startsWith('sapwood.'));
  const needed = ['thread.started', 'turn.started', 'item.completed', 'turn.completed'];
  assert.deepEqual(kinds.filter((kind, at) => kind !== kinds[at - 1]).filter((kind) => needed.includes(kind)), needed);
});

test('every option of a thread is accepted', async () => {
  const more = { model: 'gpt-5.5', modelReasoningEffort: 'high', networkAccessEnabled: false, webSearchMode: 'disabled',
    approvalPolicy: 'on-request', additionalDirectories: [home], threadSource: 'sdk_test' };
  const turn = await codex().startThread(options(more)).run('hello');
  assert.equal(turn.finalResponse, 'done');
  if (!isScripted) assert.equal(server.bodies.at(-1).reasoning.effort, 'high');
});

test('structured output', async () => {
  const outputSchema = { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'],
    additionalProperties: false };
  const turn = await codex().startThread(options()).run('STRUCTURED', { outputSchema });
  assert.deepEqual(JSON.parse(turn.finalResponse), { answer: 'yes' });
  if (!isScripted) assert.deepEqual(server.bodies.at(-1).text.format.schema, outputSchema);
});

test('an image is refused with a reason', { skip: !isSapwood }, async () => {
  const input = [{ type: 'text', text: 'look' }, { type: 'local_image', path: join(work, 'a.png') }];
  await assert.rejects(codex().startThread(options()).run(input), /code 2.*images are not available/s);
});

test('a failed turn throws its reason, and the thread goes on', async () => {
  const thread = codex().startThread(options());
  await assert.rejects(thread.run('FAILME'), /fake failure/);
  await released(thread.id);
  assert.equal((await thread.run('hello')).finalResponse, 'done');
});

test('a turn is aborted, and the thread goes on', async () => {
  const thread = codex().startThread(options());
  const stop = new AbortController();
  const { events } = await thread.runStreamed('HANG', { signal: stop.signal });
  await assert.rejects(async () => {
    for await (const event of events) if (event.type === 'turn.started') stop.abort();
  }, { name: 'AbortError' });
  await released(thread.id);
  assert.equal((await thread.run('hello')).finalResponse, 'done');
});
