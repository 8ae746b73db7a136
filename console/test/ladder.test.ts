import { expect, test } from 'vitest';
import type { Attempt, CdrDetail } from '../src/api/resources';
import { ladderOf } from '../src/lib/ladder';

const T0 = Date.parse('2026-11-22T09:14:03.000Z');
const at = (ms: number) => new Date(T0 + ms).toISOString();
const attempt = (
  gateway: string,
  start: number,
  end: number,
  result: string,
  sip_code: number,
  ringing?: number,
): Attempt => ({
  gateway,
  account: 'v',
  called: '880',
  caller: '34',
  call_id: 'x',
  start: at(start),
  ringing: ringing === undefined ? null : at(ringing),
  end: at(end),
  result,
  sip_code,
  q850: 0,
  remote: '203.0.113.10:5060',
});
const cdr = (more: Partial<CdrDetail>): CdrDetail =>
  ({
    start: at(0),
    end: at(9000),
    mapping_gateway: 'kite',
    remote_a: '198.51.100.7:5060',
    caller: '34',
    attempts: [],
    sip_code: 0,
    ended_by: 'switch',
    ...more,
  }) as CdrDetail;

/** One line for each arrow: `0>1 INVITE @0`. */
const drawn = (record: CdrDetail) => {
  const { parties, arrows } = ladderOf(record);
  return [parties.map((p) => p.name || '*').join(' '), ...arrows.map((a) => `${a.from}>${a.to} ${a.label} @${a.atMs}`)];
};

test.each<[what: string, record: CdrDetail, lines: string[]]>([
  [
    'answered by the second vendor, hung up by the caller',
    cdr({
      ringing: at(900),
      answer: at(2000),
      end_reason: 'normal_release',
      ended_by: 'caller',
      attempts: [attempt('north', 10, 300, 'gateway_failure', 503), attempt('mer', 310, 9000, 'answered', 200, 900)],
    }),
    [
      'kite * north mer',
      '0>1 INVITE @0',
      '1>2 INVITE @10',
      '2>1 503 @300',
      '1>3 INVITE @310',
      '3>1 180 @900',
      '1>0 180 @900',
      '3>1 200 @2000',
      '1>0 200 @2000',
      '0>1 BYE @9000',
      '1>3 BYE @9000',
    ],
  ],
  [
    'hung up by the callee',
    cdr({
      answer: at(2000),
      end_reason: 'normal_release',
      ended_by: 'callee',
      attempts: [attempt('north', 10, 9000, 'answered', 200)],
    }),
    [
      'kite * north',
      '0>1 INVITE @0',
      '1>2 INVITE @10',
      '2>1 200 @2000',
      '1>0 200 @2000',
      '2>1 BYE @9000',
      '1>0 BYE @9000',
    ],
  ],
  [
    'no reply at all',
    cdr({ end_reason: 'invite_timeout', sip_code: 408, attempts: [attempt('north', 10, 9000, 'invite_timeout', 0)] }),
    ['kite * north', '0>1 INVITE @0', '1>2 INVITE @10', '1>2 CANCEL @9000', '1>0 408 @9000'],
  ],
  [
    'cancelled by the caller',
    cdr({
      end_reason: 'caller_cancelled',
      sip_code: 487,
      ended_by: 'caller',
      attempts: [attempt('north', 10, 9000, 'caller_cancelled', 487, 800)],
    }),
    [
      'kite * north',
      '0>1 INVITE @0',
      '1>2 INVITE @10',
      '2>1 180 @800',
      '2>1 487 @9000',
      '0>1 CANCEL @9000',
      '1>0 487 @9000',
    ],
  ],
  [
    'refused before any gateway',
    cdr({ end: at(2), end_reason: 'no_matching_rate', sip_code: 403 }),
    ['kite *', '0>1 INVITE @0', '1>0 403 @2'],
  ],
  [
    'one gateway tried twice has one lifeline',
    cdr({
      end_reason: 'all_gateways_failed',
      sip_code: 503,
      attempts: [attempt('north', 10, 20, 'gateway_failure', 500), attempt('north', 30, 40, 'gateway_failure', 503)],
    }),
    [
      'kite * north',
      '0>1 INVITE @0',
      '1>2 INVITE @10',
      '2>1 500 @20',
      '1>2 INVITE @30',
      '2>1 503 @40',
      '1>0 503 @9000',
    ],
  ],
])('%s', (_, record, lines) => expect(drawn(record)).toEqual(lines));
