-- A shop, wholly invented and the same in every run: 50,000 customers, 120,000 orders, 2,000 employees.
-- Nobody's data: names are drawn from short lists, addresses are example.test (RFC 2606), telephone numbers
-- are 555-01xx (reserved for fiction), social security numbers begin with 9 (never issued), card numbers
-- and IBANs have check digits that are wrong on purpose.
--
-- Load as superuser into an empty database. Passwords are given to the two roles by whoever loads it.

begin;
set local synchronous_commit = off;
set local client_min_messages = warning;

create schema hr;

create table public.customers (
    id         bigint primary key,
    full_name  text not null,
    email      text not null,
    phone      text not null,
    ssn        text not null,
    street     text not null,
    city       text not null,
    country    text not null,
    birth_date date not null,
    created_at timestamptz not null,
    segment    text not null
);

create table public.products (
    id       bigint primary key,
    name     text not null,
    category text not null,
    price    numeric(10, 2) not null
);

create table public.orders (
    id          bigint primary key,
    customer_id bigint not null,
    status      text not null,
    total       numeric(12, 2) not null,
    placed_at   timestamptz not null
);

create table public.order_items (
    id         bigint primary key,
    order_id   bigint not null,
    product_id bigint not null,
    quantity   integer not null,
    price      numeric(10, 2) not null
);

create table public.payments (
    id          bigint primary key,
    order_id    bigint not null,
    customer_id bigint not null,
    card_number text not null,
    iban        text not null,
    amount      numeric(12, 2) not null,
    currency    text not null,
    paid_at     timestamptz not null
);

create table hr.employees (
    id         bigint primary key,
    full_name  text not null,
    ssn        text not null,
    salary     numeric(10, 2) not null,
    department text not null,
    title      text not null,
    hired_on   date not null
);

-- One list of names for customers and employees.
create temporary table first_names on commit drop as
select row_number() over () - 1 as i, name
from unnest(array['Ada', 'Amir', 'Anna', 'Bela', 'Carlos', 'Chen', 'Clara', 'Dana', 'Elif', 'Emma', 'Farid', 'Grace',
    'Hugo', 'Ines', 'Ivan', 'Jonas', 'Kofi', 'Lara', 'Leon', 'Mara', 'Nils', 'Noor', 'Olga', 'Pia', 'Quentin', 'Rosa',
    'Samir', 'Tara', 'Umar', 'Vera', 'Wanda', 'Yuki']) as name;

create temporary table last_names on commit drop as
select row_number() over () - 1 as i, name
from unnest(array['Abel', 'Bauer', 'Costa', 'Diaz', 'Ekman', 'Fischer', 'Garcia', 'Haddad', 'Ito', 'Jansen', 'Keller',
    'Lopez', 'Meyer', 'Novak', 'Okafor', 'Petrov', 'Quist', 'Rossi', 'Silva', 'Tanaka', 'Ueda', 'Vogel', 'Weber',
    'Xu', 'Yilmaz', 'Zhang', 'Moreau']) as name;

insert into public.customers
select n,
    f.name || ' ' || l.name,
    lower(f.name || '.' || l.name) || n || '@example.test',
    format('+1-%s-555-01%s', 200 + n % 799, lpad((n % 100)::text, 2, '0')),
    format('9%s-%s-%s', lpad((n % 100)::text, 2, '0'), lpad((n / 100 % 100)::text, 2, '0'), lpad((n % 10000)::text, 4, '0')),
    format('%s %s', 1 + n % 180, (array['Oak Street', 'Mill Lane', 'Station Road', 'Harbour Way', 'Garden Row'])[1 + n % 5]),
    (array['Berlin', 'Lyon', 'Porto', 'Graz', 'Gent', 'Turin', 'Krakow'])[1 + n % 7],
    (array['DE', 'FR', 'PT', 'AT', 'BE', 'IT', 'PL'])[1 + n % 7],
    date '1940-01-01' + (n * 37 % 23000)::integer,
    timestamptz '2019-01-01 08:00:00+00' + n * interval '71 minutes',
    (array['consumer', 'consumer', 'consumer', 'business', 'reseller'])[1 + n % 5]
from generate_series(1, 50000) as n
join first_names f on f.i = n % 32
join last_names l on l.i = n % 27
order by n;

insert into public.products
select n,
    (array['Lamp', 'Chair', 'Desk', 'Kettle', 'Radio', 'Backpack', 'Helmet', 'Notebook'])[1 + n % 8] || ' ' || chr(65 + n % 26),
    (array['home', 'office', 'outdoor', 'kitchen'])[1 + n % 4],
    5 + n * 7 % 400 + 0.95
from generate_series(1, 200) as n;

insert into public.orders
select n, 1 + n * 7919 % 50000,
    (array['delivered', 'delivered', 'shipped', 'open', 'returned'])[1 + n % 5],
    10 + n * 31 % 900 + 0.5,
    timestamptz '2024-01-01 00:00:00+00' + n * interval '11 minutes'
from generate_series(1, 120000) as n;

insert into public.order_items
select n, 1 + (n - 1) / 2, 1 + n * 13 % 200, 1 + n % 4, 5 + n * 7 % 400 + 0.95
from generate_series(1, 240000) as n;

-- Every order is paid but the open ones; a few amounts are high.
insert into public.payments
select row_number() over (order by o.id), o.id, o.customer_id,
    '4000' || lpad((o.customer_id * 7919 % 1000000000000)::text, 12, '0'),
    'XX00TEST' || lpad(o.customer_id::text, 14, '0'),
    case when o.id % 997 = 0 then o.total * 100 else o.total end,
    'EUR',
    o.placed_at + interval '3 minutes'
from public.orders o
where o.status <> 'open';

insert into hr.employees
select n, f.name || ' ' || l.name,
    format('9%s-%s-%s', lpad((n % 100)::text, 2, '0'), lpad((n % 89)::text, 2, '0'), lpad((n * 17 % 10000)::text, 4, '0')),
    32000 + n * 53 % 90000,
    (array['sales', 'support', 'engineering', 'finance', 'people'])[1 + n % 5],
    (array['associate', 'specialist', 'lead', 'manager'])[1 + n % 4],
    date '2010-01-04' + (n * 11 % 5500)::integer
from generate_series(1, 2000) as n
join first_names f on f.i = n * 3 % 32
join last_names l on l.i = n * 5 % 27
order by n;

alter table public.orders add foreign key (customer_id) references public.customers (id);
alter table public.order_items add foreign key (order_id) references public.orders (id);
alter table public.order_items add foreign key (product_id) references public.products (id);
alter table public.payments add foreign key (order_id) references public.orders (id);
alter table public.payments add foreign key (customer_id) references public.customers (id);
create index on public.orders (customer_id);
create index on public.order_items (order_id);
create index on public.payments (customer_id);

create view public.customer_contacts as
select id, full_name, email from public.customers;

create view public.revenue_by_country as
select c.country, count(*) as orders, sum(o.total) as revenue
from public.orders o
join public.customers c on c.id = o.customer_id
group by c.country;

-- The role whose rights the gate's clients get, and the one with which the gate reads the catalog.
do $$
begin
    if not exists (select from pg_roles where rolname = 'stepgate_analyst') then
        create role stepgate_analyst login;
    end if;
    if not exists (select from pg_roles where rolname = 'stepgate_catalog') then
        create role stepgate_catalog login;
    end if;
    execute format('grant connect, temporary on database %I to stepgate_analyst', current_database());
    execute format('grant connect on database %I to stepgate_catalog', current_database());
end
$$;
grant usage on schema public, hr to stepgate_analyst;
grant select, insert, update, delete on all tables in schema public, hr to stepgate_analyst;

commit;

analyze;
