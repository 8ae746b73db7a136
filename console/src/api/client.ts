/** The one place that talks HTTP. Everything else calls `resources.ts`. */
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

type ProblemBody = components['schemas']['Problem'];

/** What the switch said when it refused, or that it did not answer (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  readonly requestId: string | null;
  readonly fields: { field: string; message: string }[];

  constructor(status: number, message: string, requestId: string | null = null, fields: Problem['fields'] = []) {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.requestId = requestId;
    this.fields = fields;
  }
}

export const client = createClient<paths>({ baseUrl: globalThis.location?.origin ?? '', credentials: 'same-origin' });

client.use({
  // A request of another site cannot carry this header; the server asks for it on every write with a cookie.
  onRequest: ({ request }) => {
    request.headers.set('X-Tandem', '1');
    return request;
  },
});

function problemOf(response: Response, body: unknown): Problem {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<ProblemBody>;
  const fields = (problem.errors ?? []).map((e) => ({ field: e.field ?? '', message: e.message }));
  const words =
    problem.detail || problem.title || fields[0]?.message || response.statusText || `HTTP ${response.status}`;
  return new Problem(response.status, words, problem.request_id ?? response.headers.get('x-request-id'), fields);
}

/** The body of a call that went well; a [`Problem`] for everything else. */
export async function unwrap<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let result: Awaited<typeof call>;
  try {
    result = await call;
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem(0, cause instanceof Error ? cause.message : String(cause));
  }
  if (!result.response.ok) throw problemOf(result.response, result.error);
  return result.data as T;
}
