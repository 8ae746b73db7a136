/** The explanation of a routing decision: each rule in order, and each gateway with its verdict. */
import type { RouteExplanation } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { NONE, price } from '../lib/format';
import { Panel, Scroll } from './Page';
import { StateMark } from './State';

export function RouteView({ route }: { route: RouteExplanation }) {
  const t = useText();
  return (
    <div className="stack">
      <Panel title={t.route.steps}>
        {route.steps.length === 0 ? <p className="muted">{t.route.noSteps}</p> : <Steps route={route} />}
      </Panel>
      <Panel title={t.route.candidates}>
        {route.candidates.length === 0 ? <p className="muted">{t.route.noCandidates}</p> : <Candidates route={route} />}
      </Panel>
    </div>
  );
}

function Steps({ route }: { route: RouteExplanation }) {
  const t = useText();
  return (
    <Scroll label={t.route.steps}>
      <table className="table" data-steps="">
        <thead>
          <tr>
            <th scope="col">{t.route.order}</th>
            <th scope="col">{t.route.step}</th>
            <th scope="col">{t.route.outcome}</th>
            <th scope="col">{t.route.detail}</th>
          </tr>
        </thead>
        <tbody>
          {route.steps.map((step, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a rule may occur twice; the list never changes
            <tr key={i}>
              <td className="muted">{i + 1}</td>
              <td>{step.step}</td>
              <td>
                {step.outcome === 'passed' ? (
                  <StateMark tone="ok">{t.route.passed}</StateMark>
                ) : (
                  <StateMark tone="crit">{t.route.refused}</StateMark>
                )}
              </td>
              <td>{step.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Candidates({ route }: { route: RouteExplanation }) {
  const t = useText();
  return (
    <Scroll label={t.route.candidates}>
      <table className="table" data-candidates="">
        <thead>
          <tr>
            <th scope="col">{t.route.order}</th>
            <th scope="col">{t.route.gateway}</th>
            <th scope="col">{t.route.verdict}</th>
            <th scope="col">{t.route.reason}</th>
            <th scope="col">{t.route.prefix}</th>
            {[t.route.priority, t.route.cost, t.route.margin].map((name) => (
              <th key={name} scope="col" className="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {route.candidates.map((c, i) => (
            <tr key={`${c.gateway}-${c.prefix}`}>
              <td className="muted">{c.verdict === 'kept' ? i + 1 : ''}</td>
              <td>{c.gateway}</td>
              <td>
                <StateMark tone={c.verdict === 'kept' ? 'ok' : 'muted'} full={c.verdict === 'kept'}>
                  {wordFor(t.route.verdicts, c.verdict)}
                </StateMark>
              </td>
              <td>{c.reason || NONE}</td>
              <td className="mono">{c.prefix}</td>
              <td className="number">{c.priority}</td>
              <td className="number">{price(c.cost_per_minute)}</td>
              <td className={c.margin_per_minute?.startsWith('-') ? 'number negative' : 'number'}>
                {price(c.margin_per_minute)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
