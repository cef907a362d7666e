-- rivulet:no-transaction
-- One table after the other, each locked for a moment: its policies first, so that no role is ever without them.
-- Roles belong to the server: another database may have made them, or be about to.
DO $$
DECLARE
	role_name text;
BEGIN
	-- Always in this order, so that two migrations wait for each other in one direction only.
	FOREACH role_name IN ARRAY ARRAY['anonymous', 'customer', 'staff'] LOOP
		BEGIN
			IF to_regrole(role_name) IS NULL THEN
				EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
			END IF;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN
			NULL;
		END;
		-- Only a member can put a role on. A superuser may in any case; others without the right serve no identities.
		BEGIN
			IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
				EXECUTE format('GRANT %I TO %I', role_name, current_user);
			END IF;
		EXCEPTION WHEN insufficient_privilege THEN
			RAISE NOTICE 'GRANT % TO % is left to who may do it', role_name, current_user;
		END;
	END LOOP;
END $$;--> statement-breakpoint
CREATE POLICY "products_staff" ON "products" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "products_readers" ON "products" AS PERMISSIVE FOR SELECT TO "anonymous", "customer" USING (true);--> statement-breakpoint
CREATE POLICY "products_buyer" ON "products" AS PERMISSIVE FOR UPDATE TO "customer" USING (true);--> statement-breakpoint
ALTER TABLE "products" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT SELECT ON "products" TO "anonymous", "customer";--> statement-breakpoint
GRANT UPDATE ("stock", "updated_at") ON "products" TO "customer";--> statement-breakpoint
CREATE POLICY "customers_staff" ON "customers" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "customers_owner" ON "customers" AS PERMISSIVE FOR ALL TO "customer" USING ("customers"."id" = nullif(current_setting('request.customer_id', true), '')::int) WITH CHECK ("customers"."id" = nullif(current_setting('request.customer_id', true), '')::int);--> statement-breakpoint
ALTER TABLE "customers" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT SELECT, UPDATE ("job", "version", "updated_at") ON "customers" TO "customer";--> statement-breakpoint
CREATE POLICY "reviews_staff" ON "reviews" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "reviews_readers" ON "reviews" AS PERMISSIVE FOR SELECT TO "anonymous", "customer" USING (true);--> statement-breakpoint
CREATE POLICY "reviews_owner" ON "reviews" AS PERMISSIVE FOR ALL TO "customer" USING ("reviews"."customer_id" = nullif(current_setting('request.customer_id', true), '')::int) WITH CHECK ("reviews"."customer_id" = nullif(current_setting('request.customer_id', true), '')::int);--> statement-breakpoint
ALTER TABLE "reviews" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT SELECT ("id", "product_id", "rating", "body", "created_at", "updated_at") ON "reviews" TO "anonymous";--> statement-breakpoint
GRANT SELECT, INSERT ("product_id", "customer_id", "rating", "body"), UPDATE ("rating", "body", "updated_at"), DELETE ON "reviews" TO "customer";--> statement-breakpoint
CREATE POLICY "orders_staff" ON "orders" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "orders_owner" ON "orders" AS PERMISSIVE FOR ALL TO "customer" USING ("orders"."customer_id" = nullif(current_setting('request.customer_id', true), '')::int) WITH CHECK ("orders"."customer_id" = nullif(current_setting('request.customer_id', true), '')::int);--> statement-breakpoint
ALTER TABLE "orders" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT SELECT, INSERT ("customer_id", "total") ON "orders" TO "customer";--> statement-breakpoint
CREATE POLICY "order_items_staff" ON "order_items" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "order_items_owner" ON "order_items" AS PERMISSIVE FOR ALL TO "customer" USING (exists (select from "orders" where "orders"."id" = "order_items"."order_id")) WITH CHECK (exists (select from "orders" where "orders"."id" = "order_items"."order_id"));--> statement-breakpoint
ALTER TABLE "order_items" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT SELECT, INSERT ON "order_items" TO "customer";--> statement-breakpoint
CREATE POLICY "users_staff" ON "users" AS PERMISSIVE FOR ALL TO "staff" USING (true) WITH CHECK (true);--> statement-breakpoint
ALTER TABLE "users" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
GRANT ALL ON "customers", "order_items", "orders", "products", "reviews", "users" TO "staff";