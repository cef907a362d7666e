-- The tables of toy-schema.ts.
create schema yard;
create type mood as enum ('sad', 'ok', 'happy');
create type yard."Size Of" as enum ('s', 'm', 'l');

create table samples (
  id serial primary key,
  a_smallint smallint,
  an_integer integer,
  a_bigint bigint,
  a_safe_bigint bigint,
  a_numeric numeric,
  an_amount numeric(12, 2),
  a_numeric_number numeric,
  a_numeric_bigint numeric,
  a_real real,
  a_double double precision,
  a_boolean boolean,
  a_text text,
  a_varchar varchar(5),
  a_char char(3),
  a_uuid uuid,
  a_mood mood,
  a_size yard."Size Of",
  a_timestamp timestamp,
  a_timestamp_text timestamp,
  an_instant timestamptz,
  an_instant_text timestamptz,
  a_date date,
  a_date_text date,
  a_time time,
  a_zoned_time timetz,
  an_interval interval,
  a_json json,
  a_jsonb jsonb,
  a_bytea bytea,
  an_inet inet,
  a_cidr cidr,
  a_macaddr macaddr,
  a_point point,
  a_tsvector tsvector,
  a_range int4range,
  a_span tstzrange,
  a_money numeric(20, 2),
  a_document jsonb,
  integers integer[],
  bigints bigint[],
  texts text[],
  matrix integer[][],
  moods mood[],
  instants timestamptz[],
  documents jsonb[],
  booleans boolean[]
);

create table yard."Odd ""shelves""" (
  -- Not in the order of the schema, as after years of migrations.
  label text,
  area integer generated always as (capacity * 2) stored,
  capacity smallint not null default 10,
  gone integer,
  position integer not null,
  "Room №" varchar(20) not null,
  primary key ("Room №", position)
);
alter table yard."Odd ""shelves""" drop column gone;

create table exhibits (
  id bigint generated always as identity (start with 9007199254740993) primary key,
  room varchar(20),
  position integer,
  parent_id bigint references exhibits,
  title text not null,
  rank integer,
  weight numeric(30, 10),
  value bigint,
  constraint exhibits_shelf foreign key (room, position) references yard."Odd ""shelves"""
);

create table notes (
  id uuid primary key,
  exhibit_id bigint references exhibits,
  slug text not null unique,
  body text not null default '',
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  removed_at timestamptz
);

create table words (
  word text primary key,
  uses integer not null default 0 constraint words_uses_positive check (uses >= 0),
  seen bigserial not null,
  stamp text
);

create table rates (
  day date not null,
  factor numeric not null,
  mood mood not null,
  amount numeric(20, 2),
  primary key (day, mood),
  constraint rates_day_factor unique (day, factor)
);

create table lines (at timestamp not null, line text);

create view heavy as select id, title, weight * 2 as doubled from exhibits where weight > 100;
create view titles as select id, title from exhibits;
create materialized view totals as select room as rooms, count(*)::integer as exhibits from exhibits group by room;
