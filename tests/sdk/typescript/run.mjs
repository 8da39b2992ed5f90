// The contract of the TypeScript SDK, driven by the SDK itself.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as tick } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Codex } from '@openai/codex-sdk';

import { script, serve } from './responses.mjs';

const program = process.env.SDK_PROGRAM ?? fileURLToPath(new URL('../../../target/debug/sapwood', import.meta.url));
const isSapwood = program.endsWith('sapwood');
// What has not come by then does not come.
const PATIENCE_MS = 60_000;
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

// Returns when it holds. A test that waits for what does not come ends by itself.
async function until(holds) {
  for (const end = Date.now() + PATIENCE_MS; !(await holds()); await tick(20)) assert.ok(Date.now() < end, `${holds} does not come`);
}

// Returns when no process holds the thread. The SDK stops reading at `turn.failed`, and after an abort, without waiting
// for the end of the process.
async function released(thread) {
  if (!isSapwood) return;
  await until(async () => {
    const { stdout } = await promisify(execFile)(program, ['ps', '--json'], { env: env() });
    return !JSON.parse(stdout).agents.find((agent) => agent.thread_id === thread)?.pid;
  });
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

test('a command is streamed from its beginning to its end', async () => {
  const events = [];
  for await (const event of (await codex().startThread(options()).runStreamed('COMMAND')).events) events.push(event);
  const commands = events.filter((event) => event.item?.type === 'command_execution');
  const shown = commands.map(({ type, item }) => [type, item.status, item.aggregated_output, item.exit_code ?? null]);
  assert.deepEqual(shown, [['item.started', 'in_progress', '', null], ['item.completed', 'completed', 'it works\n', 0]]);
  assert.equal(new Set(commands.map(({ item }) => item.id)).size, 1);
});

test('a plan is a list of things to do', async () => {
  // Codex has the tool for it turned off.
  const config = isSapwood ? {} : { tools: { update_plan: { enabled: true } } };
  const turn = await new Codex({ codexPathOverride: program, env: env(), config }).startThread(options()).run('PLAN');
  const items = [{ text: 'look', completed: true }, { text: 'leap', completed: false }];
  assert.deepEqual(turn.items.filter((item) => item.type === 'todo_list').map((item) => item.items), [items]);
});

test('an address, a key and configuration are the SDK\'s to choose', { skip: isScripted }, async () => {
  const config = { model_provider: 'openai', model_reasoning_effort: 'low', features: { plugins: false } };
  const more = { baseUrl: server.url, apiKey: 'key-of-a-test', config, configOverrides: ['model="gpt-5.5"'] };
  const turn = await new Codex({ codexPathOverride: program, env: env(), ...more }).startThread(options()).run('hello');
  assert.equal(turn.finalResponse, 'done');
  assert.equal(server.keys.at(-1), 'Bearer key-of-a-test');
  assert.equal(server.bodies.at(-1).reasoning.effort, 'low');
});

test('a thread that does not exist is an error', async () => {
  const unknown = '0190aaaa-0000-7000-8000-000000000000';
  await assert.rejects(codex().resumeThread(unknown, options()).run('hello'), new RegExp(unknown));
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

test('an abort ends the command that runs', async () => {
  const stop = new AbortController();
  const thread = codex().startThread(options({ sandboxMode: 'danger-full-access' }));
  const { events } = await thread.runStreamed('SLEEP', { signal: stop.signal });
  const pid = join(work, 'pid');
  await assert.rejects(async () => {
    for await (const event of events) {
      if (event.type !== 'item.started') continue;
      await until(async () => existsSync(pid));
      stop.abort();
    }
  }, { name: 'AbortError' });
  const command = Number(await readFile(pid, 'utf8'));
  await until(async () => !existsSync(`/proc/${command}`));
});
