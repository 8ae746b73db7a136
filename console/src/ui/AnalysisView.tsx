/** What the switch found about one call: findings, the messages themselves, what it did, and the files. */
import { useQuery } from '@tanstack/react-query';
import { Fragment, useState } from 'react';
import { type CallAnalysis, cdrs } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { clockMs, NONE, sinceStart } from '../lib/format';
import { useMay } from '../lib/session';
import { ErrorNote, Loading } from './Notes';
import { Panel, Scroll } from './Page';
import { StateMark } from './State';

export function AnalysisView({ id }: { id: string }) {
  const t = useText();
  const result = useQuery({ queryKey: ['cdr', id, 'analysis'], queryFn: () => cdrs.analysis(id) });
  if (result.isPending) return <Loading />;
  if (result.error)
    return (
      <Panel title={t.analysis.findings}>
        <ErrorNote error={result.error} onRetry={() => void result.refetch()} />
      </Panel>
    );
  const analysis = result.data;
  return (
    <>
      <Findings analysis={analysis} />
      {analysis.captured ? <Messages analysis={analysis} /> : <p className="muted">{t.analysis.notCaptured}</p>}
      {analysis.sessions.map((session, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: comparisons have no name of their own and never move
        <Session key={i} session={session} />
      ))}
      {analysis.events.length > 0 && <Events analysis={analysis} />}
    </>
  );
}

function Findings({ analysis }: { analysis: CallAnalysis }) {
  const t = useText();
  return (
    <Panel title={t.analysis.findings}>
      {analysis.findings.length === 0 && <p className="muted">{t.analysis.noFindings}</p>}
      <ul className="findings">
        {analysis.findings.map((finding) => (
          <li key={finding.key + (finding.side ?? '') + finding.text}>
            <StateMark tone={finding.severity === 'fault' ? 'crit' : 'warn'}>
              {t.analysis.severities[finding.severity]}
            </StateMark>{' '}
            <strong>{finding.text}</strong>{' '}
            {finding.side && <span className="muted">({wordFor(t.analysis.sides, finding.side)})</span>}
            {finding.advice && <div>{finding.advice}</div>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** The files of a call. They are of the calls, which who sees records may not see. */
function Files({ id }: { id: string }) {
  const t = useText();
  if (!useMay()('calls.view')) return null;
  return (['pcap', 'text', 'evidence'] as const).map((kind) => (
    <a key={kind} className="file-link" href={cdrs.file(id, kind)} download>
      {t.analysis[kind]}
    </a>
  ));
}

function Messages({ analysis }: { analysis: CallAnalysis }) {
  const t = useText();
  const a = t.analysis;
  const [open, setOpen] = useState<number | null>(null);
  const lane = (place: number) => analysis.lanes[place] ?? NONE;
  return (
    <Panel title={a.messages} right={<Files id={analysis.id} />}>
      <Scroll label={a.messages}>
        <table className="table messages">
          <thead>
            <tr>
              <th>{a.time}</th>
              <th>{a.from}</th>
              <th>{a.to}</th>
              <th>{a.message}</th>
            </tr>
          </thead>
          <tbody>
            {analysis.ladder.map((row, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a message sent again equals itself in all but its place
              <Fragment key={i}>
                <tr>
                  <td className="mono" title={row.at}>
                    {sinceStart(row.after_ms)}
                  </td>
                  <td title={row.source ?? undefined}>{lane(row.from)}</td>
                  <td title={row.destination ?? undefined}>{lane(row.to)}</td>
                  <td>
                    {row.text ? (
                      <button
                        type="button"
                        className="link-button"
                        aria-expanded={open === i}
                        onClick={() => setOpen(open === i ? null : i)}
                      >
                        {row.label}
                      </button>
                    ) : (
                      row.label
                    )}
                    {row.again && <span className="muted"> {a.again}</span>}
                  </td>
                </tr>
                {open === i && (
                  <tr>
                    <td colSpan={4}>
                      <pre className="mono message-text">{row.text}</pre>
                    </td>
                  </tr>
                )}
              </Fragment>
            ))}
          </tbody>
        </table>
      </Scroll>
      {analysis.left_out > 0 && <p className="muted">{a.leftOut(String(analysis.left_out))}</p>}
    </Panel>
  );
}

function Session({ session }: { session: CallAnalysis['sessions'][number] }) {
  const t = useText();
  const title = t.analysis.session(session.received, session.sent);
  return (
    <Panel title={title}>
      {session.changes.length > 0 && (
        <ul className="findings">
          {session.changes.map((change) => (
            <li key={change}>{change}</li>
          ))}
        </ul>
      )}
      <Scroll label={title}>
        <table className="table">
          <thead>
            <tr>
              <th>{t.analysis.received}</th>
              <th>{t.analysis.sent}</th>
            </tr>
          </thead>
          <tbody>
            {session.lines.map((line, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines of a description may repeat and never move
              <tr key={i} className={line.changed ? 'line-changed' : undefined}>
                <td className="mono">{line.received ?? NONE}</td>
                <td className="mono">{line.sent ?? NONE}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}

function Events({ analysis }: { analysis: CallAnalysis }) {
  const t = useText();
  return (
    <Panel title={t.analysis.events}>
      <Scroll label={t.analysis.events}>
        <table className="table">
          <thead>
            <tr>
              <th>{t.analysis.time}</th>
              <th>{t.analysis.area}</th>
              <th>{t.analysis.what}</th>
            </tr>
          </thead>
          <tbody>
            {analysis.events.map((event) => (
              <tr key={`${event.at} ${event.area} ${event.text}`}>
                <td className="mono">{clockMs(event.at)}</td>
                <td>{event.area}</td>
                <td>{event.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}
