/** Call analysis: why did this call do that, and what did it cost? */
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { type CdrDetail, cdrs } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { amount, count, duration, isNegative, NONE, seconds, time, timeTip } from '../lib/format';
import { AnalysisView } from '../ui/AnalysisView';
import { BillView } from '../ui/BillView';
import { Ladder } from '../ui/Ladder';
import { ErrorNote, Loading } from '../ui/Notes';
import { type Fact, Facts, Page, Panel } from '../ui/Page';
import { RouteView } from '../ui/RouteView';
import { StateMark } from '../ui/State';

export function Record() {
  const t = useText();
  const { id } = useParams({ strict: false });
  const cdr = useQuery({ queryKey: ['cdr', id], queryFn: () => cdrs.get(id ?? '') });
  const shown = cdr.data;
  return (
    <Page
      name={t.record.title}
      title={
        <>
          <Link to="/records" search={{}}>
            {t.record.back}
          </Link>
          {' / '}
          {shown ? (
            <span>
              {shown.caller} → {shown.callee}
            </span>
          ) : (
            t.record.title
          )}
        </>
      }
      right={
        shown?.mapping_gateway && (
          <Link to="/simulate" search={{ gateway: shown.mapping_gateway, caller: shown.caller, called: shown.callee }}>
            {t.record.simulate}
          </Link>
        )
      }
    >
      {cdr.isPending && <Loading />}
      {cdr.error && <ErrorNote error={cdr.error} onRetry={() => void cdr.refetch()} />}
      {shown && <Analysis cdr={shown} />}
    </Page>
  );
}

function Analysis({ cdr }: { cdr: CdrDetail }) {
  const t = useText();
  return (
    <>
      <Verdict cdr={cdr} />
      <Panel title={t.record.ladder}>
        <Ladder cdr={cdr} />
      </Panel>
      <AnalysisView id={cdr.id} />
      <div className="panels">
        <BillView title={t.record.customerSide} rate={cdr.rate} />
        <BillView title={t.record.vendorSide} rate={cdr.cost_rate} />
      </div>
      <RouteView route={cdr.route} />
      <Panel title={t.record.facts}>
        <Facts facts={factsOf(cdr, t)} />
      </Panel>
      <Media cdr={cdr} />
    </>
  );
}

function Verdict({ cdr }: { cdr: CdrDetail }) {
  const t = useText();
  const answered = cdr.answer != null;
  return (
    <div className={`panel verdict ${answered ? 'verdict-ok' : 'verdict-crit'}`}>
      <StateMark tone={answered ? 'ok' : 'crit'}>
        {answered ? t.record.answeredFor(duration(cdr.duration_ms / 1000)) : t.record.notAnswered}
      </StateMark>
      <span className="verdict-words">
        {t.record.endedSentence(wordFor(t.records.by, cdr.ended_by), wordFor(t.endReason, cdr.end_reason))}{' '}
        {cdr.end_text && <q>{cdr.end_text}</q>}{' '}
        <span className="muted">
          {t.record.attemptsTried(cdr.attempts.length)} · {t.records.code} {cdr.sip_code || NONE} / {cdr.q850 || NONE}
        </span>
      </span>
      <Figure name={t.calls.pdd} value={seconds(cdr.pdd_ms)} />
      <Figure name={t.records.charge} value={amount(cdr.fee, cdr.currency, 4)} />
      <Figure name={t.records.cost} value={amount(cdr.cost, cdr.currency, 4)} />
      <Figure name={t.records.profit} value={amount(cdr.profit, cdr.currency, 4)} negative={isNegative(cdr.profit)} />
    </div>
  );
}

function Figure({ name, value, negative }: { name: string; value: string; negative?: boolean }) {
  return (
    <span className="verdict-figure">
      <span className="muted">{name}</span> <strong className={negative ? 'negative' : undefined}>{value}</strong>
    </span>
  );
}

function factsOf(cdr: CdrDetail, t: Messages): Fact[] {
  const at = (iso: string | null | undefined) => (iso ? <span title={timeTip(iso)}>{time(iso)}</span> : NONE);
  const mono = (text: string | null | undefined) => <span className="mono">{text || NONE}</span>;
  return [
    [t.records.start, at(cdr.start)],
    [t.record.ringing, at(cdr.ringing)],
    [t.record.answer, at(cdr.answer)],
    [t.record.end, at(cdr.end)],
    [t.calls.caller, mono(cdr.caller)],
    [t.calls.callee, mono(cdr.callee)],
    [t.record.calleeSent, mono(cdr.callee_sent)],
    [t.calls.customer, cdr.account ?? NONE],
    [t.calls.vendor, cdr.vendor ?? NONE],
    [t.calls.mapping, cdr.mapping_gateway ?? NONE],
    [t.calls.routing, cdr.routing_gateway ?? NONE],
    [t.records.billed, cdr.billed_s > 0 ? duration(cdr.billed_s) : NONE],
    ['Call-ID A', mono(cdr.call_id_a)],
    ['Call-ID B', mono(cdr.call_id_b)],
  ];
}

function Media({ cdr }: { cdr: CdrDetail }) {
  const t = useText();
  const sides = [
    { title: t.calls.legA, figures: cdr.media_a, codec: cdr.codec_a },
    { title: t.calls.legB, figures: cdr.media_b, codec: cdr.codec_b },
  ];
  return (
    <div className="panels">
      {sides.map(({ title, figures, codec }) => (
        <Panel key={title} title={`${t.record.media}: ${title}`}>
          <Facts
            single
            facts={[
              [t.calls.codec, codec ?? NONE],
              [t.calls.packetsIn, count(figures?.packets_in)],
              [t.calls.packetsOut, count(figures?.packets_out)],
              [t.record.packetsLost, count(figures?.lost)],
              [t.calls.jitter, figures ? `${figures.jitter_ms.toFixed(1)} ms` : NONE],
              [t.record.bytes, `${count(figures?.bytes_in)} / ${count(figures?.bytes_out)}`],
            ]}
          />
        </Panel>
      ))}
    </div>
  );
}
