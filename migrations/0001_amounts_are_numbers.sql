-- rivulet:no-transaction
-- NaN >= 0 is true. Each table is locked for a moment, one after the other; the rows are checked while others read and write.
ALTER TABLE "order_items" DROP CONSTRAINT "order_items_unit_price_not_negative", ADD CONSTRAINT "order_items_unit_price_not_negative" CHECK ("order_items"."unit_price" >= 0 and "order_items"."unit_price" <> 'NaN') NOT VALID;--> statement-breakpoint
ALTER TABLE "order_items" VALIDATE CONSTRAINT "order_items_unit_price_not_negative";--> statement-breakpoint
ALTER TABLE "orders" DROP CONSTRAINT "orders_total_not_negative", ADD CONSTRAINT "orders_total_not_negative" CHECK ("orders"."total" >= 0 and "orders"."total" <> 'NaN') NOT VALID;--> statement-breakpoint
ALTER TABLE "orders" VALIDATE CONSTRAINT "orders_total_not_negative";--> statement-breakpoint
ALTER TABLE "products" DROP CONSTRAINT "products_price_not_negative", ADD CONSTRAINT "products_price_not_negative" CHECK ("products"."price" >= 0 and "products"."price" <> 'NaN') NOT VALID;--> statement-breakpoint
ALTER TABLE "products" VALIDATE CONSTRAINT "products_price_not_negative";