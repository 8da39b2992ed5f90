// A Responses server on loopback that answers by rules, and the same rules as a script of the scripted model.

import { createServer } from 'node:http';

const USAGE = { input_tokens: 100, input_tokens_details: { cached_tokens: 20 }, output_tokens: 30,
  output_tokens_details: { reasoning_tokens: 5 }, total_tokens: 130 };

// The first rule whose `on` the last thing said contains answers; after a call, the last one.
export const RULES = [
  { on: 'FAILME', fail: 'fake failure' },
  { on: 'HANG', hang: true },
  { on: 'STRUCTURED', text: '{"answer":"yes"}' },
  { on: 'COMMAND', call: ['exec_command', { cmd: 'echo it works' }] },
  { on: 'SLEEP', call: ['exec_command', { cmd: 'echo $$ > pid.new; mv pid.new pid; exec sleep 600', yield_time_ms: 30000 }] },
  { on: 'PLAN', call: ['update_plan', { plan: [{ step: 'look', status: 'completed' }, { step: 'leap', status: 'pending' }] }] },
  { on: '', text: 'done' },
];

export function script() {
  const usage = { usage: { input_tokens: 100, cached_input_tokens: 20, output_tokens: 30, reasoning_output_tokens: 5 } };
  const reply = (rule) => {
    if (rule.fail) return [{ fail: { status: 400, message: rule.fail } }];
    if (rule.call) return [{ call: { name: rule.call[0], arguments: rule.call[1] } }, usage];
    return rule.hang ? ['hang'] : [{ text: rule.text }, usage];
  };
  return { rules: RULES.map((rule) => ({ on: { text_contains: rule.on }, reply: reply(rule) })) };
}

// Starts the server. `bodies` are the requests so far, `keys` what each authorized itself with.
export async function serve() {
  const [bodies, keys] = [[], []];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    if (request.method !== 'POST' || !request.url.endsWith('/responses')) return response.writeHead(404).end();
    const body = JSON.parse(Buffer.concat(pieces).toString('utf8'));
    bodies.push(body);
    keys.push(request.headers.authorization);
    answer(RULES.find((rule) => lastSaid(body).includes(rule.on)), bodies.length, response);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  };
  return { bodies, keys, url: `http://127.0.0.1:${server.address().port}/v1`, close };
}

function lastSaid(body) {
  if (body.input.at(-1).type === 'function_call_output') return '';
  const said = body.input.filter((item) => item.role === 'user').at(-1);
  return (said?.content ?? []).map((part) => part.text ?? '').join('\n');
}

function answer(rule, n, response) {
  if (rule.fail) {
    const error = { error: { message: rule.fail, type: 'invalid_request_error' } };
    return response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(error));
  }
  const id = `resp_${n}`;
  const send = (type, more) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  send('response.created', { response: { id } });
  if (rule.hang) return;
  const content = [{ type: 'output_text', text: rule.text }];
  const message = { type: 'message', role: 'assistant', id: `msg_${n}`, content };
  const [name, args] = rule.call ?? [];
  const call = { type: 'function_call', id: `fc_${n}`, call_id: `call_${n}`, name, arguments: JSON.stringify(args) };
  const item = rule.call ? call : message;
  send('response.output_item.done', { output_index: 0, item });
  send('response.completed', { response: { id, usage: USAGE } });
  response.end();
}
