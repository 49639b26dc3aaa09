-- What is made after the rows are there.
ALTER TABLE shop.categories ADD FOREIGN KEY (parent_id) REFERENCES shop.categories;
ALTER TABLE shop.products ADD FOREIGN KEY (category_id) REFERENCES shop.categories,
    ADD FOREIGN KEY (supplier_id) REFERENCES shop.suppliers;
ALTER TABLE shop.inventory ADD FOREIGN KEY (product_id) REFERENCES shop.products ON DELETE CASCADE,
    ADD FOREIGN KEY (warehouse_id) REFERENCES shop.warehouses;
ALTER TABLE shop.addresses ADD FOREIGN KEY (customer_id) REFERENCES shop.customers ON DELETE CASCADE;
ALTER TABLE shop.orders ADD FOREIGN KEY (customer_id) REFERENCES shop.customers,
    ADD FOREIGN KEY (shipping_address_id) REFERENCES shop.addresses;
ALTER TABLE shop.order_items ADD FOREIGN KEY (order_id) REFERENCES shop.orders ON DELETE CASCADE,
    ADD FOREIGN KEY (product_id) REFERENCES shop.products;
ALTER TABLE shop.payments ADD FOREIGN KEY (order_id) REFERENCES shop.orders;
ALTER TABLE shop.reviews ADD FOREIGN KEY (product_id) REFERENCES shop.products ON DELETE CASCADE,
    ADD FOREIGN KEY (customer_id) REFERENCES shop.customers;
ALTER TABLE shop.page_views ADD FOREIGN KEY (product_id) REFERENCES shop.products,
    ADD FOREIGN KEY (customer_id) REFERENCES shop.customers;

CREATE INDEX ON shop.products (category_id);
CREATE INDEX ON shop.products USING gin (search);
CREATE INDEX ON shop.products USING gin (attributes jsonb_path_ops);
CREATE INDEX ON shop.addresses (customer_id);
CREATE INDEX ON shop.orders (customer_id);
CREATE INDEX ON shop.orders (ordered_at);
CREATE INDEX ON shop.orders (status) WHERE status IN ('pending', 'paid');
CREATE INDEX ON shop.order_items (product_id);
CREATE INDEX ON shop.reviews USING gin (search);
CREATE INDEX ON shop.page_views (viewed_at);
-- On purpose, for check_health and recommend_indexes to find: payments.order_id and reviews.customer_id, which are foreign
-- keys, have no index, and this one repeats that of the unique constraint.
CREATE INDEX customers_email_again ON shop.customers (email);

CREATE VIEW shop.monthly_revenue AS
SELECT date_trunc('month', o.ordered_at, 'UTC')::date AS month, count(*) AS orders, sum(o.total) AS revenue,
       round(avg(o.total), 2) AS average_order
FROM shop.orders o WHERE o.status NOT IN ('cancelled', 'returned', 'pending') GROUP BY 1;
CREATE VIEW shop.customer_value AS
SELECT c.id AS customer_id, c.name, c.country, count(o.id) AS orders, coalesce(sum(o.total), 0) AS revenue,
       max(o.ordered_at) AS last_ordered_at
FROM shop.customers c
LEFT JOIN shop.orders o ON o.customer_id = c.id AND o.status NOT IN ('cancelled', 'returned', 'pending')
GROUP BY c.id;
CREATE MATERIALIZED VIEW shop.product_sales AS
SELECT i.product_id, sum(i.quantity) AS sold, sum(i.amount) AS revenue, max(o.ordered_at) AS last_sold_at
FROM shop.order_items i JOIN shop.orders o ON o.id = i.order_id
WHERE o.status NOT IN ('cancelled', 'returned', 'pending') GROUP BY i.product_id;
CREATE UNIQUE INDEX ON shop.product_sales (product_id);

CREATE FUNCTION shop.category_path(category int) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT c.id, c.parent_id, c.name, 1 AS step FROM shop.categories c WHERE c.id = category
        UNION ALL
        SELECT c.id, c.parent_id, c.name, up.step + 1 FROM shop.categories c JOIN up ON c.id = up.parent_id)
    SELECT string_agg(up.name, ' > ' ORDER BY up.step DESC) FROM up
$$;
CREATE FUNCTION shop.keep_order_total() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop.orders o SET total = (SELECT coalesce(sum(i.amount), 0) FROM shop.order_items i WHERE i.order_id = o.id)
    WHERE o.id IN (OLD.order_id, NEW.order_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_order_total AFTER INSERT OR UPDATE OR DELETE ON shop.order_items
FOR EACH ROW EXECUTE FUNCTION shop.keep_order_total();

COMMENT ON SCHEMA shop IS 'An online shop for outdoor equipment; all data is generated';
COMMENT ON TABLE shop.suppliers IS 'Who products are bought from';
COMMENT ON COLUMN shop.suppliers.lead_days IS 'Days from an order to its delivery';
COMMENT ON TABLE shop.categories IS 'A tree of two levels; products are on the lower one';
COMMENT ON TABLE shop.products IS 'What is sold, or was';
COMMENT ON COLUMN shop.products.price IS 'Today''s price in EUR, taxes included';
COMMENT ON COLUMN shop.products.cost IS 'What the supplier gets, in EUR';
COMMENT ON COLUMN shop.products.attributes IS 'colour, material, weight_g, tags[], size_cm{length,width,height}, warranty_years';
COMMENT ON COLUMN shop.products.discontinued_on IS 'Not sold from this day on; null if it is';
COMMENT ON COLUMN shop.products.search IS 'Full text of name and description, English';
COMMENT ON TABLE shop.warehouses IS 'Where stock lies';
COMMENT ON TABLE shop.inventory IS 'Stock of each product in each warehouse';
COMMENT ON COLUMN shop.inventory.reorder_level IS 'Order more when there are fewer';
COMMENT ON TABLE shop.customers IS 'Who buys; personal data';
COMMENT ON COLUMN shop.customers.country IS 'ISO 3166-1 alpha-2';
COMMENT ON COLUMN shop.customers.newsletter IS 'Agreed to be written to';
COMMENT ON TABLE shop.addresses IS 'Where customers are sent goods and bills';
COMMENT ON TABLE shop.orders IS 'Orders from January 2024 to June 2026';
COMMENT ON COLUMN shop.orders.status IS 'Revenue counts paid, shipped and delivered';
COMMENT ON COLUMN shop.orders.total IS 'Sum of its items in EUR; kept by a trigger';
COMMENT ON TABLE shop.order_items IS 'What an order is of';
COMMENT ON COLUMN shop.order_items.unit_price IS 'As paid, in EUR; prices change, and there are sales';
COMMENT ON TABLE shop.payments IS 'What was tried, captured and refunded for an order';
COMMENT ON COLUMN shop.payments.amount IS 'In EUR; negative for refunds';
COMMENT ON TABLE shop.reviews IS 'What buyers say; written by strangers, some with bad intentions';
COMMENT ON COLUMN shop.reviews.body IS 'Untrusted text';
COMMENT ON TABLE shop.page_views IS 'A sample of visits, partitioned by half-year';
COMMENT ON VIEW shop.monthly_revenue IS 'Revenue in EUR by month of order, UTC';
COMMENT ON VIEW shop.customer_value IS 'Orders and revenue of each customer';
COMMENT ON MATERIALIZED VIEW shop.product_sales IS 'Pieces and revenue of each product; refreshed by hand';
COMMENT ON FUNCTION shop.category_path(int) IS 'A category with those above it, as in Camping > Tents';
