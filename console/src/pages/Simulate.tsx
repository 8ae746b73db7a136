/** What would the switch do with this call, and why? The question stands in the address bar, so it can be sent on. */
import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, Select } from 'antd';
import { useEffect } from 'react';
import { mappingGateways, type Simulation, system } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { price } from '../lib/format';
import { useUrl } from '../lib/url';
import { ErrorNote, Loading } from '../ui/Notes';
import { Page, Panel } from '../ui/Page';
import { RouteView } from '../ui/RouteView';
import { StateMark } from '../ui/State';

interface Question {
  gateway: string;
  caller: string;
  called: string;
}

export function Simulate() {
  const t = useText();
  const { search, change } = useUrl();
  const { gateway = '', caller = '', called = '' } = search;
  const asked = gateway !== '' && called !== '';
  const answer = useQuery({
    queryKey: ['simulate', gateway, caller, called],
    queryFn: () => system.simulate({ gateway, caller, called }),
    enabled: asked,
    staleTime: 0,
    refetchOnWindowFocus: false,
  });
  const run = (question: Question) => {
    const same = question.gateway === gateway && question.caller === caller && question.called === called;
    if (same) void answer.refetch();
    else change({ ...question });
  };
  return (
    <Page title={t.nav.simulate}>
      <p className="muted" style={{ margin: 0 }}>
        {t.simulate.intro}
      </p>
      <Panel>
        <QuestionForm question={{ gateway, caller, called }} onRun={run} />
      </Panel>
      {asked && answer.isPending && <Loading />}
      {answer.error && <ErrorNote error={answer.error} onRetry={() => void answer.refetch()} />}
      {answer.data && <Answer simulation={answer.data} />}
    </Page>
  );
}

function QuestionForm({ question, onRun }: { question: Question; onRun: (question: Question) => void }) {
  const t = useText();
  const [form] = Form.useForm<Question>();
  const gateways = useQuery({
    queryKey: ['mapping-gateways', 'names'],
    queryFn: () => mappingGateways.list({ limit: 200 }),
  });
  const { gateway, caller, called } = question;
  useEffect(
    () => form.setFieldsValue({ gateway: gateway || undefined, caller, called }),
    [form, gateway, caller, called],
  );
  const needed = [{ required: true, message: t.common.requiredField }];
  return (
    <Form form={form} layout="vertical" className="editor" onFinish={onRun}>
      <div className="editor-fields">
        <Form.Item name="gateway" label={t.simulate.gateway} rules={needed}>
          <Select
            showSearch={{ optionFilterProp: 'label' }}
            loading={gateways.isPending}
            options={(gateways.data?.items ?? []).map((g) => ({ value: g.name, label: `${g.name} · ${g.account}` }))}
          />
        </Form.Item>
        <Form.Item name="caller" label={t.simulate.caller} rules={needed}>
          <Input className="mono" inputMode="tel" autoComplete="off" />
        </Form.Item>
        <Form.Item name="called" label={t.simulate.called} rules={needed}>
          <Input className="mono" inputMode="tel" autoComplete="off" />
        </Form.Item>
      </div>
      <Button type="primary" htmlType="submit">
        {t.common.run}
      </Button>
    </Form>
  );
}

function Answer({ simulation }: { simulation: Simulation }) {
  const t = useText();
  const routed = simulation.outcome === 'routed';
  return (
    <>
      <div className={`panel verdict ${routed ? 'verdict-ok' : 'verdict-crit'}`} data-outcome={simulation.outcome}>
        <StateMark tone={routed ? 'ok' : 'crit'}>{routed ? t.simulate.routed : t.simulate.refused}</StateMark>
        <span className="verdict-words">
          {routed ? `${t.simulate.plan}: ${simulation.plan.join(' → ')}` : wordFor(t.endReason, simulation.outcome)}
        </span>
        {simulation.rate && (
          <span className="verdict-figure">
            <span className="muted">
              {t.simulate.sellingRate} {simulation.rate.prefix} ({simulation.rate.area})
            </span>{' '}
            <strong>{t.record.perMinute(price(simulation.rate.price_per_minute))}</strong>{' '}
            {simulation.rate.first_period}/{simulation.rate.cycle}
          </span>
        )}
      </div>
      <RouteView route={simulation} />
    </>
  );
}
