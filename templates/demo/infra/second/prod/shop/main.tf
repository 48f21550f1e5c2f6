terraform {
  required_version = ">= 1.4"
}

module "shop" {
  source   = "../../modules/service"
  name     = "shop"
  image    = "shop:1.5.0"
  replicas = 3
}

output "endpoint" {
  value = module.shop.endpoint
}
