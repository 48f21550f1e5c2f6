terraform {
  required_version = ">= 1.4"
}

module "shop" {
  source   = "../../modules/service"
  name     = "shop-staging"
  image    = "shop:1.5.0"
  replicas = 1
}

output "endpoint" {
  value = module.shop.endpoint
}
