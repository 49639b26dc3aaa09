"""Ordinary questions that analysts, reports and tools ask; read mode must answer each, and rightly.

They run on the seeded database. Where an answer differs from run to run, `stable` is false.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ordinary:
    """One query that must pass."""

    name: str
    sql: str
    params: tuple[str | int | float | bool | None, ...] = ()
    """For ``$1`` and on."""
    rows: int | None = None
    """How many it gives, where that is worth saying."""
    stable: bool = True
    extensions: tuple[str, ...] = ()
    min_version: int = 0


def _many(cases: dict[str, str], **common: Any) -> Iterable[Ordinary]:
    for name, sql in cases.items():
        yield Ordinary(name, sql, **common)


def _reports() -> Iterable[Ordinary]:
    yield from _many({
        "count": "SELECT count(*) FROM app.orders",
        "orders by month": "SELECT date_trunc('month', placed) AS month, count(*) FROM app.orders GROUP BY 1 ORDER BY 1",
        "revenue by category": "SELECT p.category, sum(l.quantity * l.price) AS revenue FROM app.order_lines l JOIN app.products p ON p.id = l.product_id GROUP BY p.category ORDER BY revenue DESC, 1",
        "top customers": "SELECT c.id, c.name, sum(t.total) AS spent FROM app.customers c JOIN app.order_totals t ON t.customer_id = c.id GROUP BY c.id ORDER BY spent DESC, c.id LIMIT 10",
        "customers without orders": "SELECT c.id FROM app.customers c WHERE NOT EXISTS (SELECT FROM app.orders o WHERE o.customer_id = c.id) ORDER BY 1",
        "left join and coalesce": "SELECT c.id, coalesce(count(o.id), 0) AS n FROM app.customers c LEFT JOIN app.orders o ON o.customer_id = c.id GROUP BY c.id ORDER BY n, c.id",
        "having": "SELECT customer_id, count(*) FROM app.orders GROUP BY customer_id HAVING count(*) > 5 ORDER BY 1",
        "filter": "SELECT count(*) FILTER (WHERE status = 'void') AS void, count(*) FILTER (WHERE status <> 'void') AS rest FROM app.orders",
        "grouping sets": "SELECT status, date_part('year', placed) AS y, count(*) FROM app.orders GROUP BY GROUPING SETS ((status), (y), ()) ORDER BY 1, 2",
        "cube": "SELECT country, tags, count(*), grouping(country, tags) FROM app.customers GROUP BY CUBE (country, tags) ORDER BY 1, 2, 3, 4",
        "rollup": "SELECT category, sku, sum(price) FROM app.products GROUP BY ROLLUP (category, sku) ORDER BY 1, 2",
        "distinct": "SELECT DISTINCT country FROM app.customers ORDER BY country",
        "distinct on": "SELECT DISTINCT ON (customer_id) customer_id, id, placed FROM app.orders ORDER BY customer_id, placed DESC",
        "percentiles": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY total) FROM app.order_totals",
        "mode": "SELECT mode() WITHIN GROUP (ORDER BY status) FROM app.orders",
        "spread": "SELECT round(avg(total), 4), round(stddev_samp(total), 4), round(var_pop(total), 4), corr(total::float8, id) IS NOT NULL FROM app.order_totals",
        "regression": "SELECT regr_count(total, id), round(regr_slope(total, id)::numeric, 6) FROM app.order_totals",
        "pivot by CASE": "SELECT customer_id % 5 AS g, sum(CASE status WHEN 'paid' THEN 1 ELSE 0 END) AS paid, sum(CASE WHEN status = 'sent' THEN 1 END) AS sent FROM app.orders GROUP BY 1 ORDER BY 1",
        "width_bucket": "SELECT width_bucket(price, 0, 100, 5) AS b, count(*) FROM app.products GROUP BY b ORDER BY b",
        "union": "SELECT 'customer' AS kind, count(*) FROM app.customers UNION ALL SELECT 'product', count(*) FROM app.products ORDER BY 1",
        "except": "SELECT id FROM app.customers EXCEPT SELECT customer_id FROM app.orders ORDER BY 1",
        "intersect": "(SELECT id FROM app.customers WHERE id < 9) INTERSECT (SELECT customer_id FROM app.orders) ORDER BY 1",
        "in a subquery": "SELECT name FROM app.products WHERE id IN (SELECT product_id FROM app.order_lines WHERE quantity = 4) ORDER BY id",
        "all and any": "SELECT id FROM app.products WHERE price >= ALL (SELECT price FROM app.products) OR price = ANY (SELECT min(price) FROM app.products) ORDER BY 1",
        "correlated": "SELECT p.id, (SELECT count(*) FROM app.order_lines l WHERE l.product_id = p.id) AS sold FROM app.products p ORDER BY 1",
        "limit and offset": "SELECT id FROM app.orders ORDER BY id LIMIT 5 OFFSET 10",
        "with ties": "SELECT quantity FROM app.order_lines ORDER BY quantity DESC FETCH FIRST 3 ROWS WITH TIES",
        "table": "TABLE app.products",
        "values": "VALUES (1, 'one'), (2, 'two')",
        "values as a table": "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS v (n, t)",
        "self join": "SELECT a.id, b.id AS parent FROM app.products a JOIN app.products b ON a.parent = b.id ORDER BY 1",
        "natural join": "SELECT count(*) FROM app.order_lines NATURAL JOIN (SELECT id AS order_id FROM app.orders) o",
        "full join": "SELECT count(*) FROM app.customers c FULL JOIN app.orders o ON o.customer_id = c.id",
        "cross join": "SELECT count(*) FROM app.customers, app.products",
        "nested joins": "SELECT count(*) FROM app.orders o JOIN (app.order_lines l JOIN app.products p ON p.id = l.product_id) ON l.order_id = o.id",
        "view": "SELECT * FROM app.order_totals ORDER BY total DESC, id LIMIT 3",
        "materialized view": "SELECT id FROM app.m_victim ORDER BY id",
        "partitioned": "SELECT tableoid::regclass::text AS part, count(*) FROM app.events GROUP BY 1 ORDER BY 1",
        "only": "SELECT count(*) FROM ONLY app.events",
        "string_agg": "SELECT country, string_agg(name, ', ' ORDER BY name) FROM app.customers GROUP BY country ORDER BY 1",
        "array_agg": "SELECT status, array_agg(id ORDER BY id) FROM app.orders WHERE id < 20 GROUP BY status ORDER BY 1",
        "bool aggregates": "SELECT bool_and(price > 0), bool_or(price > 95), every(id > 0) FROM app.products",
        "bit aggregates": "SELECT bit_and(id), bit_or(id), bit_xor(id) FROM app.products",
        "whole row": "SELECT p FROM app.products p ORDER BY id LIMIT 2",
        "row comparison": "SELECT id, customer_id FROM app.orders WHERE (customer_id, id) > (50, 100) ORDER BY 2, 1 LIMIT 5",
        "keyset page": "SELECT order_id, line FROM app.order_lines WHERE (order_id, line) > (100, 2) ORDER BY order_id, line LIMIT 5",
        "is distinct from": "SELECT count(*) FROM app.customers WHERE email IS DISTINCT FROM 'c1@example.org'",
        "nulls first": "SELECT email FROM app.customers ORDER BY email NULLS FIRST LIMIT 8",
        "a column called like a function": "SELECT count, sum FROM (SELECT 1 AS count, 2 AS sum) q",
    })  # fmt: skip


def _windows() -> Iterable[Ordinary]:
    yield from _many({
        "row_number": "SELECT id, row_number() OVER (PARTITION BY category ORDER BY price DESC, id) FROM app.products ORDER BY id",
        "rank": "SELECT id, rank() OVER w, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w FROM app.products WINDOW w AS (ORDER BY category) ORDER BY id",
        "running total": "SELECT id, sum(total) OVER (ORDER BY placed, id) FROM app.order_totals ORDER BY id",
        "moving average": "SELECT id, round(avg(total) OVER (ORDER BY id ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING), 2) FROM app.order_totals ORDER BY id",
        "lag and lead": "SELECT id, total - lag(total, 1, 0.0) OVER (ORDER BY id) AS d, lead(id) OVER (ORDER BY id) FROM app.order_totals ORDER BY id",
        "first and last": "SELECT id, first_value(id) OVER w, last_value(id) OVER w, nth_value(id, 2) OVER w FROM app.products WINDOW w AS (PARTITION BY category ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) ORDER BY id",
        "ntile": "SELECT ntile(4) OVER (ORDER BY price, id) AS q, id FROM app.products ORDER BY 1, 2",
        "range by interval": "SELECT id, count(*) OVER (ORDER BY placed RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW) FROM app.orders ORDER BY id",
        "groups": "SELECT id, count(*) OVER (ORDER BY category GROUPS 1 PRECEDING EXCLUDE CURRENT ROW) FROM app.products ORDER BY id",
        "filtered window": "SELECT id, count(*) FILTER (WHERE status = 'void') OVER (ORDER BY id) FROM app.orders ORDER BY id LIMIT 20",
        "share of total": "SELECT category, round(100 * sum(price) / sum(sum(price)) OVER (), 2) AS pct FROM app.products GROUP BY category ORDER BY 1",
        "top per group": "SELECT * FROM (SELECT p.*, row_number() OVER (PARTITION BY category ORDER BY price DESC) AS rn FROM app.products p) q WHERE rn <= 2 ORDER BY category, rn",
        "sessions": "SELECT max(s) FROM (SELECT sum(gap) OVER (ORDER BY at) AS s FROM (SELECT at, CASE WHEN at - lag(at) OVER (ORDER BY at) > interval '30 hours' THEN 1 ELSE 0 END AS gap FROM app.events) q) r",
    })  # fmt: skip


def _structures() -> Iterable[Ordinary]:
    yield from _many({
        "CTE": "WITH big AS (SELECT * FROM app.order_totals WHERE total > 300) SELECT count(*), max(total) FROM big",
        "CTE materialized": "WITH a AS MATERIALIZED (SELECT id FROM app.orders), b AS NOT MATERIALIZED (SELECT id FROM app.products) SELECT count(*) FROM a JOIN b USING (id)",
        "recursive numbers": "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 50) SELECT sum(n) FROM r",
        "recursive tree": "WITH RECURSIVE t AS (SELECT id, name, 0 AS depth, ARRAY[id] AS path FROM app.products WHERE parent IS NULL UNION ALL SELECT p.id, p.name, t.depth + 1, t.path || p.id FROM app.products p JOIN t ON p.parent = t.id) SELECT * FROM t ORDER BY path",
        "recursive search": "WITH RECURSIVE t(id) AS (SELECT 1 UNION ALL SELECT p.id FROM app.products p JOIN t ON p.parent = t.id) SEARCH DEPTH FIRST BY id SET o SELECT id FROM t ORDER BY o",
        "recursive cycle": "WITH RECURSIVE t(id) AS (SELECT 4 UNION ALL SELECT p.id FROM app.products p JOIN t ON p.parent = t.id) CYCLE id SET again USING path SELECT id, again FROM t ORDER BY 1",
        "lateral": "SELECT c.id, o.id AS latest FROM app.customers c CROSS JOIN LATERAL (SELECT id FROM app.orders o WHERE o.customer_id = c.id ORDER BY placed DESC LIMIT 1) o ORDER BY 1",
        "left join lateral": "SELECT c.id, o.n FROM app.customers c LEFT JOIN LATERAL (SELECT count(*) AS n FROM app.orders o WHERE o.customer_id = c.id) o ON true ORDER BY 1",
        "series": "SELECT * FROM generate_series(1, 10, 3) AS g(n)",
        "series of dates": "SELECT d::date FROM generate_series(date '2024-01-01', date '2024-01-10', interval '1 day') d",
        "calendar with gaps filled": "SELECT d::date AS day, count(o.id) FROM generate_series(timestamptz '2024-02-01 00:00+00', '2024-02-14 00:00+00', '1 day') d LEFT JOIN app.orders o ON o.placed >= d AND o.placed < d + interval '1 day' GROUP BY d ORDER BY d",
        "rows from": "SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['a', 'b'])) WITH ORDINALITY AS t(n, c, o)",
        "sampled": "SELECT count(*) <= 300 FROM app.orders TABLESAMPLE BERNOULLI (10) REPEATABLE (7)",
        "sampled by page": "SELECT count(*) <= 300 FROM app.orders TABLESAMPLE SYSTEM (50) REPEATABLE (1)",
        "no columns": "SELECT",
        "no columns of a table": "SELECT FROM app.products LIMIT 3",
        "no rows": "SELECT id, name FROM app.products WHERE false",
        "two columns of a name": "SELECT 1 AS a, 2 AS a, id AS a FROM app.products ORDER BY 3 LIMIT 2",
        "columns without a name": "SELECT 1, 'x', NULL, 1 + 1",
        "semicolon": "SELECT 1 AS one;",
        "semicolons and space": "SELECT 1 AS one ;\n\n",
        "comment at the end": "SELECT 1 AS one -- that is all",
        "comment after the semicolon": "SELECT 1 AS one; -- that is all",
        "comments inside": "SELECT /* a /* nested */ one */ 1 -- then\n AS one",
        "comment first": "-- Revenue\n/* by year */ SELECT 1 AS one",
        "parenthesised": "(SELECT 1 AS a) UNION (SELECT 2) ORDER BY a",
        "deep": "SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT 1 AS a) q) q) q) q",
        "long": "SELECT " + " + ".join(["1"] * 40) + " AS n",
        "wide": "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(200)),
        "many in a list": "SELECT count(*) FROM app.orders WHERE id IN (" + ", ".join(map(str, range(1, 400))) + ")",
        "quoted names": 'SELECT "Id", "Order" FROM app."UPPER" ORDER BY "Id"',
        "odd names": 'SELECT "se lect", "a.b", "quo""te", "100%", "ünï ✓", "$1", "{brace}" FROM app."we""ird.table %s"',
        "a newline in a name": 'SELECT "new\nline" FROM app."we""ird.table %s"',
        "key words as names": 'SELECT "from", "where" FROM "odd.schema"."select"',
        "escaped name": 'SELECT U&"\\0069d" FROM app.products ORDER BY 1 LIMIT 1',
        "unicode": "SELECT 'Grüße, 世界 ✓ 🚀' AS \"größe\", length('🚀')",
        "dollar quotes": "SELECT $q$it's; -- fine$q$ AS t, $$a$$",
        "escape strings": "SELECT E'a\\tb\\nc\\\\d', U&'d\\0061t\\+000061', 'it''s'",
        "statements in a string": "SELECT 'DROP TABLE app.victim; COMMIT;' AS t",
        "statement words as names": "SELECT 1 AS update, 2 AS delete, 3 AS insert, 4 AS commit",
        "numbers": "SELECT 1e10, .5, 1.50, -0.0, 12345678901234567890, 9223372036854775807",
        "casts": "SELECT '12'::int, CAST('1.5' AS numeric(4, 2)), date '2024-02-29', interval '1 day 2 hours', '{1,2}'::int[], 'pg_class'::regclass::oid > 0",
        "a star and more": "SELECT p.*, 1 AS one FROM app.products p ORDER BY id LIMIT 1",
    })  # fmt: skip
    yield Ordinary("two hundred thousand groups", "SELECT count(*) FROM (SELECT g % 1000 AS k, count(*) FROM generate_series(1, 200000) g GROUP BY 1) q")  # fmt: skip


def _values() -> Iterable[Ordinary]:
    yield from _many({
        "at time zone": "SELECT timestamptz '2024-06-01 12:00+00' AT TIME ZONE 'Europe/Berlin', timestamp '2024-06-01 12:00' AT TIME ZONE 'UTC'",
        "extract": "SELECT extract(dow FROM placed) AS d, count(*) FROM app.orders GROUP BY 1 ORDER BY 1",
        "date arithmetic": "SELECT date '2024-03-01' - date '2024-02-01', date '2024-01-31' + interval '1 month', age(timestamp '2024-03-01', timestamp '2023-01-15')",
        "to_char": "SELECT to_char(placed AT TIME ZONE 'UTC', 'YYYY-\"Q\"Q IYYY-IW FMDay') AS t FROM app.orders ORDER BY id LIMIT 5",
        "to_date and to_timestamp": "SELECT to_date('29 Feb 2024', 'DD Mon YYYY'), to_timestamp(1700000000) AT TIME ZONE 'UTC', to_number('1,234.5', '9,999.9')",
        "date_bin": "SELECT date_bin('15 minutes', timestamp '2024-01-01 10:22', timestamp '2024-01-01')",
        "make functions": "SELECT make_date(2024, 2, 29), make_interval(days => 3, hours => 4), make_time(1, 2, 3.5)",
        "overlaps": "SELECT (date '2024-01-01', date '2024-02-01') OVERLAPS (date '2024-01-15', date '2024-03-01')",
        "infinite dates": "SELECT id, d, ts, tz FROM app.kinds ORDER BY id",
        "every kind": "SELECT * FROM app.kinds WHERE id <> 5 ORDER BY id",
        "a hundred digits": "SELECT n FROM app.kinds WHERE id IN (2, 7) ORDER BY id",
        "not a number": "SELECT 'NaN'::numeric, 'Infinity'::float8, '-Infinity'::numeric, 'NaN'::float4",
        "null and empty": "SELECT t, t IS NULL AS n FROM app.kinds WHERE id IN (3, 4) ORDER BY id",
        "like": "SELECT name FROM app.customers WHERE name LIKE 'A%' OR name ILIKE '%é%' ORDER BY id",
        "like with parts": "SELECT count(*) FROM app.customers WHERE name LIKE '%' || 'n' || ' 1%'",
        "like with an escape": "SELECT '100%' LIKE '100!%' ESCAPE '!', 'a_b' LIKE 'a\\_b'",
        "similar to": "SELECT sku FROM app.products WHERE sku SIMILAR TO 'SKU-00(01|1_)' ORDER BY 1",
        "regular expressions": "SELECT regexp_replace(sku, '^SKU-0*', ''), sku ~ '1$', (regexp_match(sku, '(\\d)(\\d)$'))[2] FROM app.products ORDER BY id",
        "regexp sets": "SELECT regexp_matches('a1b22', '\\d+', 'g'), regexp_split_to_array('a, b,c', ',\\s*')",
        "regexp table": "SELECT * FROM regexp_split_to_table('a-b-c', '-') WITH ORDINALITY",
        "string functions": "SELECT upper('ä'), initcap('ab cd'), lpad('7', 3, '0'), split_part('a.b.c', '.', 2), translate('abc', 'ab', 'xy'), reverse('abc'), left('abc', 2), right('abc', -1), position('c' IN 'abc'), overlay('abcd' PLACING 'x' FROM 2 FOR 2), trim(both 'x' FROM 'xax'), substring('abc' FROM 2), repeat('ab', 3), chr(228), ascii('ä')",
        "format": "SELECT format('%s %I %L %1$s', 'a', 'b c', 'it''s'), concat_ws(', ', 'a', NULL, 'b'), quote_ident('A'), quote_literal('x''y')",
        "hashes": "SELECT md5('a'), encode(sha256('a'), 'hex'), hashtext('a') IS NOT NULL",
        "bytes": "SELECT '\\xdeadbeef'::bytea, encode('\\x00ff', 'base64'), get_byte('\\x01ff', 1), length('\\x0102'::bytea), convert_from('\\xc3a4', 'UTF8')",
        "collation": "SELECT name FROM app.customers ORDER BY name COLLATE \"C\" DESC LIMIT 3",
        "mathematics": "SELECT round(2.5), ceil(1.1), floor(-1.1), trunc(1.99, 1), mod(7, 3), div(7, 3), power(2, 10), sqrt(2), ln(10), log(2, 8), abs(-1), sign(-3), gcd(12, 8), lcm(4, 6), pi(), degrees(pi()), cbrt(27), exp(1), factorial(20)",
        "greatest and least": "SELECT greatest(1, 3, NULL), least('b', 'a'), nullif(1, 1), coalesce(NULL, 2)",
        "integer division": "SELECT 7 / 2, 7 % 2, 7.0 / 2, -7 / 2, 2 ^ 3, |/ 9, @ -5, 5 # 3, 5 & 3, 5 | 3, 1 << 4, ~1",
        "arrays": "SELECT tags, tags @> '{vip}', 'eu' = ANY (tags), array_length(tags, 1), cardinality(tags) FROM app.customers ORDER BY id LIMIT 4",
        "array functions": "SELECT array_append(ARRAY[1], 2), ARRAY[1, 2] || 3, array_remove(ARRAY[1, 2, 1], 1), array_position(ARRAY['a', 'b'], 'b'), (ARRAY[1, 2, 3])[2:3], array_to_string(ARRAY[1, NULL, 3], ',', '-'), string_to_array('a,b', ',')",
        "unnest": "SELECT tag, count(*) FROM app.customers, unnest(tags) AS tag GROUP BY tag ORDER BY tag",
        "unnest several": "SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b', 'c']) AS u(n, t)",
        "array of a query": "SELECT ARRAY(SELECT id FROM app.products ORDER BY id LIMIT 3), ARRAY[[1, 2], [3, 4]]",
        "ranges": "SELECT count(*) FROM app.orders WHERE valid @> timestamptz '2024-03-01 00:00+00'",
        "range functions": "SELECT lower(r), upper(r), isempty(r), r * int4range(2, 9), r && int4range(4, 5), int4range(1, 3) -|- int4range(3, 5) FROM (VALUES (int4range(1, 5))) v(r)",
        "multiranges": "SELECT range_agg(r), '{[1,3),[5,7)}'::int4multirange @> 6 FROM (VALUES (int4range(1, 3)), (int4range(2, 5)), (int4range(8, 9))) v(r)",
        "json operators": "SELECT profile -> 'address' ->> 'city', profile #>> '{langs,1}', (profile ->> 'age')::int FROM app.customers ORDER BY id LIMIT 5",
        "json containment": "SELECT count(*) FROM app.customers WHERE profile @> '{\"langs\": [\"de\"]}' AND profile ? 'age' AND profile ?| ARRAY['x', 'age']",
        "json subscript": "SELECT profile['address']['zip'] FROM app.customers ORDER BY id LIMIT 2",
        "json path": "SELECT jsonb_path_query(profile, '$.langs[*] ? (@ starts with \"d\")') FROM app.customers ORDER BY id LIMIT 9",
        "json path predicate": "SELECT count(*) FROM app.customers WHERE profile @@ '$.age > 40' AND profile @? '$.address.zip'",
        "json building": "SELECT jsonb_build_object('a', 1, 'b', jsonb_agg(id ORDER BY id)), json_object_agg(sku, price ORDER BY id) FROM app.products WHERE id < 4",
        "json rows": "SELECT row_to_json(p), to_jsonb(p) - 'search' FROM app.products p ORDER BY id LIMIT 2",
        "json sets": "SELECT key, value FROM jsonb_each_text('{\"a\": 1, \"b\": [2]}') ORDER BY key",
        "json records": "SELECT * FROM jsonb_to_recordset('[{\"a\": 1, \"b\": \"x\"}, {\"a\": 2}]') AS r(a int, b text)",
        "json elements": "SELECT e ->> 'n' FROM jsonb_array_elements('[{\"n\": 1}, {\"n\": 2}]') e",
        "json pretty": "SELECT jsonb_pretty('{\"a\": [1, 2]}'), jsonb_typeof('[]'), jsonb_set('{\"a\": 1}', '{a}', '2'), jsonb_strip_nulls('{\"a\": null}')",
        "text search": "SELECT id FROM app.products WHERE search @@ to_tsquery('english', 'shoe & !green') ORDER BY id",
        "text search rank": "SELECT id, ts_rank(search, q) > 0, ts_headline('english', name, q) FROM app.products, websearch_to_tsquery('english', 'wool hat') q WHERE search @@ q ORDER BY id",
        "text search pieces": "SELECT to_tsvector('simple', 'a fat cat'), plainto_tsquery('english', 'fat cats'), phraseto_tsquery('english', 'fat cats'), setweight('a:1'::tsvector, 'A')",
        "network types": "SELECT inet '10.1.2.3' << inet '10.0.0.0/8', host(inet '10.0.0.1/24'), masklen('10.0.0.0/8'), network('10.1.2.3/8')",
        "geometry": "SELECT point '(1,2)' <-> point '(4,6)', box '((0,0),(2,2))' @> point '(1,1)', area(box '((0,0),(2,2))'), circle '((0,0),2)'",
        "enum": "SELECT 'ok'::app.mood > 'sad', enum_range(NULL::app.mood)",
        "domain and composite": "SELECT po, (ad).street, ad FROM app.kinds WHERE id IN (1, 2) ORDER BY id",
        "bits": "SELECT B'1010' & B'0110', B'1' || B'0', 5::bit(4)::text, bit_length('ab')",
        "money and uuid": "SELECT '12.34'::money * 2, '00000000-0000-4000-8000-000000000001'::uuid",
        "current row's system columns": "SELECT ctid IS NOT NULL, xmin::text <> '', tableoid::regclass::text FROM app.products LIMIT 1",
        "row constructors": "SELECT ROW(1, 'a'), (1, 2) = (1, 2), (ROW(1, 2)).f1",
        "is json": "SELECT '{\"a\": 1}'::json ->> 'a', pg_typeof(1.5), pg_column_size('abc'::text) > 0",
    })  # fmt: skip
    yield from _many({
        "IS JSON": "SELECT '{\"a\": 1}' IS JSON OBJECT, 'x' IS JSON, JSON_ARRAY(1, 'a'), JSON_OBJECT('k': 1)",
        "any_value": "SELECT country, any_value(country) FROM app.customers GROUP BY country ORDER BY 1",
        "underscores in numbers": "SELECT 1_000_000, 0x1F, 0b101",
    }, min_version=16)  # fmt: skip
    yield from _many({
        "JSON_TABLE": "SELECT j.* FROM app.customers c, JSON_TABLE(c.profile, '$.langs[*]' COLUMNS (o FOR ORDINALITY, lang text PATH '$')) j WHERE c.id < 4 ORDER BY c.id, j.o",
        "JSON_VALUE": "SELECT JSON_VALUE(profile, '$.address.city'), JSON_QUERY(profile, '$.langs'), JSON_EXISTS(profile, '$.age') FROM app.customers ORDER BY id LIMIT 3",
        "newer functions": "SELECT random(1, 1), to_bin(5), to_hex(255)",
    }, min_version=17)  # fmt: skip
    yield from _many({"uuidv7": "SELECT uuidv7() IS NOT NULL, uuid_extract_version(uuidv7())"}, min_version=18)


def _catalogs() -> Iterable[Ordinary]:
    yield from _many({
        "tables": "SELECT n.nspname, c.relname, c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'app' ORDER BY 2",
        "columns": "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'app.customers'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        "information schema": "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'app' AND table_name = 'orders' ORDER BY ordinal_position",
        "information schema's tables": "SELECT table_type, count(*) FROM information_schema.tables WHERE table_schema = 'app' GROUP BY 1 ORDER BY 1",
        "foreign keys": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'app'::regnamespace ORDER BY 1",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'app' ORDER BY 1",
        "index definitions": "SELECT pg_get_indexdef(indexrelid), indisunique FROM pg_index WHERE indrelid = 'app.orders'::regclass ORDER BY 1",
        "view definition": "SELECT pg_get_viewdef('app.order_totals'::regclass, true)",
        "function definition": "SELECT pg_get_functiondef('app.write_note'::regproc)",
        "comments": "SELECT obj_description('app.customers'::regclass), col_description('app.customers'::regclass, 4)",
        "sizes": "SELECT pg_size_pretty(pg_total_relation_size('app.orders')) <> '', pg_relation_size('app.orders') > 0, pg_database_size(current_database()) > 0, pg_table_size('app.orders') > 0, pg_indexes_size('app.orders') > 0",
        "privileges": "SELECT has_table_privilege('gatelodge_ro', 'app.victim', 'INSERT'), has_column_privilege('gatelodge_ro', 'app.people', 'ssn', 'SELECT')",
        "roles": "SELECT rolname, rolsuper FROM pg_roles WHERE rolname ~ '^(app|tenant)' ORDER BY 1",
        "settings": "SELECT name, setting FROM pg_settings WHERE name IN ('max_connections', 'server_encoding') ORDER BY 1",
        "current_setting": "SELECT current_setting('server_encoding'), current_setting('app.nothing', true)",
        "sequences": "SELECT schemaname, sequencename, increment_by FROM pg_sequences ORDER BY 1, 2",
        "types": "SELECT t.typname, array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY 1 ORDER BY 1",
        "extensions": "SELECT extname FROM pg_extension WHERE extname = 'plpgsql'",
        "policies": "SELECT tablename, policyname, qual FROM pg_policies ORDER BY 1, 2",
        "statistics": "SELECT attname, n_distinct, most_common_vals::text FROM pg_stats WHERE schemaname = 'app' AND tablename = 'orders' ORDER BY 1",
        "partitions": "SELECT inhrelid::regclass::text, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'app.events'::regclass ORDER BY 1",
        "partition tree": "SELECT relid::text, level FROM pg_partition_tree('app.events') ORDER BY 1",
        "dependencies": "SELECT DISTINCT d.refobjid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class = 'app.order_totals'::regclass AND d.refclassid = 'pg_class'::regclass ORDER BY 1",
        "regclass and friends": "SELECT 'app.orders'::regclass::text, 'int4'::regtype::text, to_regclass('app.nothing'), to_regtype('integer')::text",
        "acl": "SELECT grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'app.victim'::regclass ORDER BY 1, 2",
        "primary keys": "SELECT kcu.table_name, kcu.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu USING (constraint_schema, constraint_name) WHERE tc.constraint_type = 'PRIMARY KEY' AND tc.table_schema = 'app' ORDER BY 1, kcu.ordinal_position",
        "version": "SELECT version(), current_database(), current_schema(), current_schemas(true)",
    })  # fmt: skip
    yield from _many({
        "table statistics": "SELECT relname, seq_scan, n_live_tup, last_analyze FROM pg_stat_user_tables WHERE schemaname = 'app' ORDER BY 1",
        "index statistics": "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE schemaname = 'app' ORDER BY 1",
        "activity": "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()",
        "locks": "SELECT locktype, mode, granted FROM pg_locks WHERE pid = pg_backend_pid()",
        "blocking": "SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity",
        "database statistics": "SELECT xact_commit, blks_hit FROM pg_stat_database WHERE datname = current_database()",
        "replication": "SELECT pg_is_in_recovery(), pg_current_wal_lsn() IS NOT NULL, count(*) FROM pg_stat_replication",
        "cache hits": "SELECT sum(heap_blks_hit) / nullif(sum(heap_blks_hit + heap_blks_read), 0) FROM pg_statio_user_tables",
        "uptime": "SELECT now() - pg_postmaster_start_time()",
        "now": "SELECT now(), current_date, current_timestamp, localtime, statement_timestamp()",
        "clock": "SELECT clock_timestamp(), timeofday()",
        "random": "SELECT random(), floor(random() * 6) + 1",
        "random rows": "SELECT id FROM app.products ORDER BY random() LIMIT 3",
        "uuid": "SELECT gen_random_uuid()",
        "transaction": "SELECT txid_current_if_assigned(), pg_backend_pid(), current_user, session_user",
    }, stable=False)  # fmt: skip


def _extensions() -> Iterable[Ordinary]:
    yield from _many({
        "hstore": "SELECT id, h -> 'colour', h ? 'size', h @> 'colour=>red', akeys(h) FROM app.attributes ORDER BY id",
        "hstore rows": "SELECT key, value FROM app.attributes, each(h) ORDER BY 1, 2",
        "hstore as JSON": "SELECT hstore_to_jsonb(h) FROM app.attributes ORDER BY id",
    }, extensions=("hstore",))  # fmt: skip
    yield from _many({
        "similarity": "SELECT similarity('word', 'two words'), 'word' % 'words', 'word' <-> 'words', show_trgm('cat')",
        "fuzzy search": "SELECT name FROM app.customers WHERE name % 'Dmitri 3' ORDER BY similarity(name, 'Dmitri 3') DESC, id LIMIT 3",
    }, extensions=("pg_trgm",))  # fmt: skip
    yield from _many({
        "digest": "SELECT encode(digest('a', 'sha1'), 'hex'), encode(hmac('a', 'k', 'sha256'), 'hex')",
    }, extensions=("pgcrypto",))  # fmt: skip
    yield Ordinary("uuid by name", "SELECT uuid_generate_v5(uuid_ns_dns(), 'example.org')", extensions=("uuid-ossp",))
    yield Ordinary("citext", "SELECT 'A'::citext = 'a'::citext", extensions=("citext",))
    yield Ordinary("statement statistics", "SELECT count(*) FROM pg_stat_statements", stable=False, extensions=("pg_stat_statements",))  # fmt: skip
    yield Ordinary("xml", "SELECT xpath('/a/b/text()', body)::text, xmlelement(NAME x, 1)::text FROM app.documents", extensions=("xml2",))  # fmt: skip
    yield Ordinary("xmltable", "SELECT b FROM app.documents, XMLTABLE('/a/b' PASSING body COLUMNS b text PATH '.')", extensions=("xml2",))  # fmt: skip
    yield from _many({
        "postgis distance": "SELECT ST_Distance(ST_MakePoint(0, 0), ST_MakePoint(3, 4)), ST_AsText(ST_Buffer(ST_MakePoint(0, 0), 0)), ST_DWithin(ST_MakePoint(0, 0), ST_MakePoint(1, 1), 2)",
        "postgis operators": "SELECT 'POINT(1 1)'::geometry && 'POLYGON((0 0,2 0,2 2,0 2,0 0))'::geometry, 'POINT(0 0)'::geometry <-> 'POINT(3 4)'::geometry",
        "postgis aggregate": "SELECT ST_AsGeoJSON(ST_Collect(ST_SetSRID(ST_MakePoint(g, g), 4326))) FROM generate_series(1, 3) g",
        "postgis geography": "SELECT round(ST_Distance('POINT(13.4 52.5)'::geography, 'POINT(2.35 48.85)'::geography) / 1000)",
    }, extensions=("postgis",))  # fmt: skip
    yield from _many({
        "vectors": "SELECT '[1,2,3]'::vector <-> '[1,2,4]'::vector, vector_dims('[1,2]'::vector)",
    }, extensions=("vector",))  # fmt: skip


def _parameters() -> Iterable[Ordinary]:
    yield Ordinary("an integer", "SELECT id, name FROM app.products WHERE id = $1", (3,), rows=1)
    yield Ordinary("a text", "SELECT id FROM app.customers WHERE country = $1 ORDER BY id", ("DE",))
    yield Ordinary("several, out of order", "SELECT $2::int, $1::text, $2::int + 1", ("a", 5), rows=1)
    yield Ordinary("one twice", "SELECT id FROM app.products WHERE id > $1 AND id < $1 + 3 ORDER BY id", (5,), rows=2)
    yield Ordinary("a null", "SELECT $1::text IS NULL", (None,), rows=1)
    yield Ordinary("a boolean", "SELECT count(*) FROM app.kinds WHERE b = $1", (True,), rows=1)
    yield Ordinary("a fraction", "SELECT count(*) FROM app.products WHERE price > $1", (49.5,), rows=1)
    yield Ordinary("a date", "SELECT count(*) FROM app.orders WHERE placed >= $1::timestamptz", ("2024-06-01",), rows=1)
    yield Ordinary("an interval", "SELECT timestamp '2024-01-01' + $1::interval", ("3 days",), rows=1)
    yield Ordinary("a JSON document", "SELECT count(*) FROM app.customers WHERE profile @> $1::jsonb", ('{"age": 25}',))
    yield Ordinary(
        "an array", "SELECT id FROM app.products WHERE id = ANY ($1::int[]) ORDER BY id", ("{1,2,3}",), rows=3
    )
    yield Ordinary("a pattern", "SELECT count(*) FROM app.customers WHERE name LIKE $1 || '%'", ("A",), rows=1)
    yield Ordinary("beside a per cent sign", "SELECT name FROM app.customers WHERE name LIKE '%1%' AND id < $1", (30,))
    yield Ordinary("in LIMIT", "SELECT id FROM app.orders ORDER BY id LIMIT $1 OFFSET $2", (4, 2), rows=4)
    yield Ordinary("quotes", "SELECT $1::text", ('it\'s; -- "$2" \\ %s',), rows=1)
    yield Ordinary("a unicode text", "SELECT length($1::text)", ("🚀ü",), rows=1)
    yield Ordinary("an empty text", "SELECT $1::text = ''", ("",), rows=1)
    yield Ordinary("a large integer", "SELECT $1::bigint + 0", (9007199254740993,), rows=1)
    yield Ordinary("in a CTE", "WITH c AS (SELECT $1::int AS n) SELECT n * 2 FROM c", (21,), rows=1)
    yield Ordinary("eleven", "SELECT " + ", ".join(f"${n}::int" for n in range(1, 12)), tuple(range(11)), rows=1)


ORDINARY: tuple[Ordinary, ...] = tuple(
    query
    for source in (_reports, _windows, _structures, _values, _catalogs, _extensions, _parameters)
    for query in source()
)
