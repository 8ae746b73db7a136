/** All addresses of the console. Pages load when they are first visited. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { parseSearch, type Search, writeSearch } from './lib/url';
import { Missing } from './pages/Missing';
import { Overview } from './pages/Overview';
import { Root } from './ui/Shell';

const root = createRootRoute({
  component: Root,
  notFoundComponent: Missing,
  validateSearch: (search): Search => search as Search,
});
const getParentRoute = () => root;

const routes = [
  createRoute({ getParentRoute, path: '/', component: Overview }),
  createRoute({
    getParentRoute,
    path: '/calls',
    component: lazyRouteComponent(() => import('./pages/Calls'), 'Calls'),
  }),
  createRoute({
    getParentRoute,
    path: '/records',
    component: lazyRouteComponent(() => import('./pages/Records'), 'Records'),
  }),
  createRoute({
    getParentRoute,
    path: '/records/$id',
    component: lazyRouteComponent(() => import('./pages/Record'), 'Record'),
  }),
  createRoute({
    getParentRoute,
    path: '/reports',
    component: lazyRouteComponent(() => import('./pages/Reports'), 'Reports'),
  }),
  createRoute({
    getParentRoute,
    path: '/accounts',
    component: lazyRouteComponent(() => import('./pages/Accounts'), 'Accounts'),
  }),
  createRoute({
    getParentRoute,
    path: '/accounts/$id',
    component: lazyRouteComponent(() => import('./pages/Account'), 'AccountPage'),
  }),
  createRoute({
    getParentRoute,
    path: '/mapping-gateways',
    component: lazyRouteComponent(() => import('./pages/MappingGateways'), 'MappingGateways'),
  }),
  createRoute({
    getParentRoute,
    path: '/mapping-gateways/$id',
    component: lazyRouteComponent(() => import('./pages/MappingGateway'), 'MappingGatewayPage'),
  }),
  createRoute({
    getParentRoute,
    path: '/routing-gateways',
    component: lazyRouteComponent(() => import('./pages/RoutingGateways'), 'RoutingGateways'),
  }),
  createRoute({
    getParentRoute,
    path: '/routing-gateways/$id',
    component: lazyRouteComponent(() => import('./pages/RoutingGateway'), 'RoutingGatewayPage'),
  }),
  createRoute({
    getParentRoute,
    path: '/phones',
    component: lazyRouteComponent(() => import('./pages/Phones'), 'Phones'),
  }),
  createRoute({
    getParentRoute,
    path: '/phones/$id',
    component: lazyRouteComponent(() => import('./pages/Phone'), 'PhonePage'),
  }),
  createRoute({
    getParentRoute,
    path: '/registrations',
    component: lazyRouteComponent(() => import('./pages/Registrations'), 'Registrations'),
  }),
  createRoute({
    getParentRoute,
    path: '/changes',
    component: lazyRouteComponent(() => import('./pages/Changes'), 'Changes'),
  }),
  createRoute({
    getParentRoute,
    path: '/rates',
    component: lazyRouteComponent(() => import('./pages/RateGroups'), 'RateGroups'),
  }),
  createRoute({
    getParentRoute,
    path: '/rates/$id',
    component: lazyRouteComponent(() => import('./pages/Rates'), 'Rates'),
  }),
  createRoute({
    getParentRoute,
    path: '/rates/$id/imports',
    component: lazyRouteComponent(() => import('./pages/RateImports'), 'RateImports'),
  }),
  createRoute({
    getParentRoute,
    path: '/gateway-groups',
    component: lazyRouteComponent(() => import('./pages/GatewayGroups'), 'GatewayGroups'),
  }),
  createRoute({
    getParentRoute,
    path: '/number-lists',
    component: lazyRouteComponent(() => import('./pages/NumberLists'), 'NumberLists'),
  }),
  createRoute({
    getParentRoute,
    path: '/calendars',
    component: lazyRouteComponent(() => import('./pages/Calendars'), 'Calendars'),
  }),
  createRoute({
    getParentRoute,
    path: '/simulate',
    component: lazyRouteComponent(() => import('./pages/Simulate'), 'Simulate'),
  }),
  createRoute({
    getParentRoute,
    path: '/parameters',
    component: lazyRouteComponent(() => import('./pages/Parameters'), 'Parameters'),
  }),
  createRoute({
    getParentRoute,
    path: '/users',
    component: lazyRouteComponent(() => import('./pages/Users'), 'Users'),
  }),
  createRoute({
    getParentRoute,
    path: '/audit',
    component: lazyRouteComponent(() => import('./pages/Audit'), 'Audit'),
  }),
  createRoute({
    getParentRoute,
    path: '/status',
    component: lazyRouteComponent(() => import('./pages/Status'), 'StatusPage'),
  }),
];

export const router = createRouter({
  routeTree: root.addChildren(routes),
  parseSearch,
  stringifySearch: writeSearch,
  defaultPreload: 'intent',
  scrollRestoration: false,
});
