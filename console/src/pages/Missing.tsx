import { Link } from '@tanstack/react-router';
import { useText } from '../i18n';
import { Empty } from '../ui/Notes';
import { Page } from '../ui/Page';

/** An address that leads nowhere. */
export function Missing() {
  const t = useText();
  return (
    <Page title={t.app}>
      <Empty text={t.common.notFound} action={<Link to="/">{t.nav.overview}</Link>} />
    </Page>
  );
}
