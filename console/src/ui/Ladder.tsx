/** The ladder, drawn by hand: one lifeline for each host, time at the left, words in a gutter at the right. */
import type { CdrDetail } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { sinceStart } from '../lib/format';
import { type Arrow, ladderOf } from '../lib/ladder';

const TIME = 84;
const LANE = 176;
const GUTTER = 300;
const HEAD = 46;
const STEP = 27;

const LEG_COLORS = ['var(--leg-a)', 'var(--leg-1)', 'var(--leg-2)', 'var(--leg-3)'];
/** Colours of attempts repeat; the number beside the label tells them apart. */
const colorOf = (leg: number) => (leg === 0 ? LEG_COLORS[0] : LEG_COLORS[1 + ((leg - 1) % 3)]);
const laneX = (party: number) => TIME + LANE / 2 + party * LANE;

export function Ladder({ cdr }: { cdr: CdrDetail }) {
  const t = useText();
  const { parties, arrows } = ladderOf(cdr);
  const width = TIME + parties.length * LANE + GUTTER;
  const height = HEAD + arrows.length * STEP + 14;
  const shorten = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  return (
    <section className="ladder-scroll" tabIndex={0} aria-label={t.record.ladder}>
      <svg className="ladder" width={width} height={height} role="img" aria-label={t.record.ladderLabel(arrows.length)}>
        {parties.map((party, i) => (
          <g key={party.name}>
            <line className="ladder-life" x1={laneX(i)} x2={laneX(i)} y1={HEAD - 6} y2={height} />
            <text className="ladder-name" x={laneX(i)} y={16}>
              {shorten(party.name || t.record.switchName, 24)}
            </text>
            <text className="ladder-sub" x={laneX(i)} y={32}>
              {shorten(party.address, 26)}
            </text>
          </g>
        ))}
        {arrows.map((arrow, i) => (
          <ArrowRow
            key={`${arrow.leg}-${arrow.label}-${arrow.from}-${i}`}
            arrow={arrow}
            y={HEAD + i * STEP + 16}
            gutter={TIME + parties.length * LANE}
          />
        ))}
      </svg>
    </section>
  );
}

function ArrowRow({ arrow, y, gutter }: { arrow: Arrow; y: number; gutter: number }) {
  const t = useText();
  const [from, to] = [laneX(arrow.from), laneX(arrow.to)];
  const direction = Math.sign(to - from);
  const tip = to - direction * 2;
  const color = arrow.kind === 'failure' || arrow.kind === 'silence' ? 'var(--crit)' : colorOf(arrow.leg);
  const dashed = arrow.kind === 'silence' || arrow.kind === 'progress' ? '5 4' : undefined;
  return (
    <g>
      <text className="ladder-time" x={4} y={y + 4}>
        {sinceStart(arrow.atMs)}
      </text>
      <line x1={from} x2={tip} y1={y} y2={y} stroke={color} strokeWidth={1.5} strokeDasharray={dashed} />
      <path d={`M${tip} ${y}l${-direction * 8} -4v8z`} fill={color} />
      <text className="ladder-label" x={(from + to) / 2} y={y - 5}>
        {arrow.kind === 'failure' || arrow.kind === 'silence' ? '▲ ' : ''}
        {arrow.label}
        {arrow.leg > 1 ? ` (${arrow.leg})` : ''}
      </text>
      <text className="ladder-note" x={gutter + 8} y={y + 4}>
        {noteOf(arrow, t)}
      </text>
    </g>
  );
}

function noteOf(arrow: Arrow, t: ReturnType<typeof useText>): string {
  if (arrow.reason) return [wordFor(t.endReason, arrow.reason), arrow.text].filter(Boolean).join(' · ');
  if (arrow.kind === 'progress') return t.record.ladderNotes.ringing;
  return arrow.kind === 'success' ? t.record.ladderNotes.answer : '';
}
